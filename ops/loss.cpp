#include "ops/loss.h"

#include "core/parallel.h"
#include "ops/launch_cpu.h"
#include "ops/loss_functors.h"

namespace kdef::ops {

const OpInfo kBceInfo{"binary_cross_entropy", "L = -mean(y ln p + (1-y) ln(1-p)), logarithms clamped at -100",
                      "dp = dL (p - y) / (p (1-p)) / n"};
const OpInfo kBceWithLogitsInfo{"binary_cross_entropy_with_logits", "L = mean(max(z,0) - z y + ln(1 + e^-|z|))",
                                "dz = dL (sigmoid(z) - y) / n"};
const OpInfo kMseInfo{"mean_squared_error", "L = mean((a - b)^2)", "da = 2 dL (a - b) / n, db = -da"};

namespace cpu {

namespace {

template <class Fn>
double mean_of(const Tensor& a, const Tensor& b, Fn fn) {
  return for_float(a.dtype(), "loss", [&]<class T>() {
    const T *pa = a.data<T>(), *pb = b.data<T>();
    const double total = parallel_sum<double>(a.numel(), 4096, [=](int64_t first, int64_t last) {
      double sum = 0;
      for (int64_t i = first; i < last; ++i) sum += static_cast<double>(fn(pa[i], pb[i]));
      return sum;
    });
    return total / static_cast<double>(a.numel());
  });
}

template <class Fn>
void gradient_of(double dy, const Tensor& a, const Tensor& b, const Tensor& d, Fn fn) {
  for_float(a.dtype(), "loss", [&]<class T>() {
    const T *pa = a.data<T>(), *pb = b.data<T>();
    T* out = d.data<T>();
    const T c = static_cast<T>(dy / static_cast<double>(a.numel()));
    for_each(a.numel(), [=](int64_t i) { out[i] = c * fn(pa[i], pb[i]); });
  });
}

}  // namespace

double bce_forward(const Tensor& p, const Tensor& y) {
  return mean_of(p, y, [](auto a, auto b) { return Bce::f(a, b); });
}
void bce_backward(double dy, const Tensor& p, const Tensor& y, const Tensor& dp) {
  gradient_of(dy, p, y, dp, [](auto a, auto b) { return Bce::dp(a, b); });
}
double bce_logits_forward(const Tensor& z, const Tensor& y) {
  return mean_of(z, y, [](auto a, auto b) { return BceLogits::f(a, b); });
}
void bce_logits_backward(double dy, const Tensor& z, const Tensor& y, const Tensor& dz) {
  gradient_of(dy, z, y, dz, [](auto a, auto b) { return BceLogits::dz(a, b); });
}
double mse_forward(const Tensor& a, const Tensor& b) {
  return mean_of(a, b, [](auto u, auto v) { return (u - v) * (u - v); });
}
void mse_backward(double dy, const Tensor& a, const Tensor& b, const Tensor& da) {
  gradient_of(dy, a, b, da, [](auto u, auto v) { return 2 * (u - v); });
}

}  // namespace cpu

namespace {
void check_pair(const char* op, const Tensor& a, const Tensor& b) {
  KDEF_CHECK(a.shape() == b.shape() && a.dtype() == b.dtype() && a.device() == b.device(), op, ": ", describe(a),
             " and ", describe(b), " differ");
  KDEF_CHECK(a.numel() > 0, op, ": the batch is empty");
}
Tensor scalar(double value, const Tensor& like) { return Tensor::full({}, value, like.dtype(), like.device()); }
}  // namespace

Tensor binary_cross_entropy(const Tensor& p, const Tensor& y) {
  check_pair("binary_cross_entropy", p, y);
  const double loss = KDEF_LAUNCH(p.device(), bce_forward, p, y);
  return record(kBceInfo, scalar(loss, p), {p}, {p, y},
                [](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
                  Tensor dp = Tensor::empty_like(c.saved[0]);
                  KDEF_LAUNCH(dy.device(), bce_backward, dy.item(), c.saved[0], c.saved[1], dp);
                  return {dp};
                });
}

Tensor binary_cross_entropy_with_logits(const Tensor& z, const Tensor& y) {
  check_pair("binary_cross_entropy_with_logits", z, y);
  const double loss = KDEF_LAUNCH(z.device(), bce_logits_forward, z, y);
  return record(kBceWithLogitsInfo, scalar(loss, z), {z}, {z, y},
                [](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
                  Tensor dz = Tensor::empty_like(c.saved[0]);
                  KDEF_LAUNCH(dy.device(), bce_logits_backward, dy.item(), c.saved[0], c.saved[1], dz);
                  return {dz};
                });
}

Tensor mean_squared_error(const Tensor& a, const Tensor& b) {
  check_pair("mean_squared_error", a, b);
  const double loss = KDEF_LAUNCH(a.device(), mse_forward, a, b);
  return record(kMseInfo, scalar(loss, a), {a, b}, {a, b}, [](const BackwardContext& c, const Tensor& dy) {
    std::vector<Gradient> grads(2);
    for (size_t i = 0; i < 2; ++i) {
      if (!c.needs[i]) continue;
      Tensor d = Tensor::empty_like(c.saved[0]);
      KDEF_LAUNCH(dy.device(), mse_backward, dy.item(), c.saved[i], c.saved[1 - i], d);
      grads[i] = d;
    }
    return grads;
  });
}

}  // namespace kdef::ops
