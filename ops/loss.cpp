#include "ops/loss.h"

#include "core/base/parallel.h"
#include "ops/device/launch_cpu.h"
#include "ops/loss_functors.h"
#include "ops/loss_kernels.h"

namespace kdef::ops {

const OpInfo kBceInfo{"binary_cross_entropy", "L = -mean(y ln p + (1-y) ln(1-p)), logarithms clamped at -100",
                      "dp = dL (p - y) / (p (1-p)) / n"};
const OpInfo kBceWithLogitsInfo{"binary_cross_entropy_with_logits", "L = mean(max(z,0) - z y + ln(1 + e^-|z|))",
                                "dz = dL (sigmoid(z) - y) / n"};
const OpInfo kMseInfo{"mean_squared_error", "L = mean((a - b)^2)", "da = 2 dL (a - b) / n, db = -da"};

namespace cpu {

template <class Loss>
void mean_loss(const Tensor& a, const Tensor& b, const Tensor& loss) {
  for_float(a.dtype(), "loss", [&]<class T>() {
    const T *pa = a.data<T>(), *pb = b.data<T>();
    const double total = parallel_sum<double>(a.numel(), 4096, [=](int64_t first, int64_t last) {
      double sum = 0;
      for (int64_t i = first; i < last; ++i) sum += static_cast<double>(Loss::f(pa[i], pb[i]));
      return sum;
    });
    *loss.data<T>() = static_cast<T>(total / static_cast<double>(a.numel()));
  });
}

template <class Loss>
void loss_gradient(const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& da) {
  for_float(a.dtype(), "loss", [&]<class T>() {
    const T *pa = a.data<T>(), *pb = b.data<T>();
    T* out = da.data<T>();
    const T c = static_cast<T>(static_cast<double>(*dy.data<T>()) / static_cast<double>(a.numel()));
    for_each(a.numel(), [=](int64_t i) { out[i] = c * Loss::da(pa[i], pb[i]); });
  });
}

}  // namespace cpu

namespace {
void check_pair(const char* op, const Tensor& a, const Tensor& b) {
  KDEF_CHECK(a.shape() == b.shape() && a.dtype() == b.dtype() && a.device() == b.device(), op, ": ", describe(a),
             " and ", describe(b), " differ");
  KDEF_CHECK(a.numel() > 0, op, ": the batch is empty");
}
Tensor scalar_like(const Tensor& x) { return Tensor::empty({}, x.dtype(), x.device()); }
}  // namespace

Tensor binary_cross_entropy(const Tensor& p, const Tensor& y) {
  check_pair("binary_cross_entropy", p, y);
  const Tensor loss = scalar_like(p);
  KDEF_LAUNCH(p.device(), mean_loss<Bce>, p, y, loss);
  return record(kBceInfo, loss, {p, y}, {p, y},
                [](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
                  Tensor dp = Tensor::empty_like(c.saved[0]);
                  KDEF_LAUNCH(dy.device(), loss_gradient<Bce>, dy, c.saved[0], c.saved[1], dp);
                  return {dp};
                });
}

Tensor binary_cross_entropy_with_logits(const Tensor& z, const Tensor& y) {
  check_pair("binary_cross_entropy_with_logits", z, y);
  const Tensor loss = scalar_like(z);
  KDEF_LAUNCH(z.device(), mean_loss<BceLogits>, z, y, loss);
  return record(kBceWithLogitsInfo, loss, {z, y}, {z, y},
                [](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
                  Tensor dz = Tensor::empty_like(c.saved[0]);
                  KDEF_LAUNCH(dy.device(), loss_gradient<BceLogits>, dy, c.saved[0], c.saved[1], dz);
                  return {dz};
                });
}

Tensor mean_squared_error(const Tensor& a, const Tensor& b) {
  check_pair("mean_squared_error", a, b);
  const Tensor loss = scalar_like(a);
  KDEF_LAUNCH(a.device(), mean_loss<Mse>, a, b, loss);
  return record(kMseInfo, loss, {a, b}, {a, b}, [](const BackwardContext& c, const Tensor& dy) {
    std::vector<Gradient> grads(2);
    for (size_t i = 0; i < 2; ++i) {
      if (!c.needs[i]) continue;
      Tensor d = Tensor::empty_like(c.saved[0]);
      KDEF_LAUNCH(dy.device(), loss_gradient<Mse>, dy, c.saved[i], c.saved[1 - i], d);
      grads[i] = d;
    }
    return grads;
  });
}

}  // namespace kdef::ops
