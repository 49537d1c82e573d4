#include "ops/loss.h"

#include <numeric>
#include <span>

#include "core/base/parallel.h"
#include "core/tensor/launch.h"
#include "ops/device/launch_cpu.h"
#include "ops/loss_functors.h"
#include "ops/loss_kernels.h"

namespace kdef::ops {

const OpInfo kBceInfo{"binary_cross_entropy",
                      "L = mean(-y ln p - (1-y) ln(1-p)), weighted by rows; logarithms clamped at -100",
                      "dp = dL w (p - y) / (p (1-p)) / sum w"};
const OpInfo kBceWithLogitsInfo{"binary_cross_entropy_with_logits",
                                "L = mean(max(z,0) - z y + ln(1 + e^-|z|)), weighted by rows",
                                "dz = dL w (sigmoid(z) - y) / sum w"};
const OpInfo kMseInfo{"mean_squared_error", "L = mean((a - b)^2), weighted by rows",
                      "da = 2 dL w (a - b) / sum w, db = -da"};

namespace cpu {

template <class Loss>
void mean_loss(Group& group, const LossInput& in, const Tensor& sums, const Tensor& loss) {
  for_float(in.a.dtype(), "loss", [&]<class T>() {
    const T *pa = in.a.data<T>(), *pb = in.b.data<T>(), *w = in.weights.defined() ? in.weights.data<T>() : nullptr;
    const int64_t n = in.a.numel(), per_row = in.per_row();
    double total[2];
    total[0] = parallel_sum<double>(n, 4096, [=](int64_t first, int64_t last) {
      double sum = 0;
      for (int64_t i = first; i < last; ++i) {
        const double l = static_cast<double>(Loss::f(pa[i], pb[i]));
        sum += w == nullptr ? l : static_cast<double>(w[i / per_row]) * l;
      }
      return sum;
    });
    total[1] =
        w == nullptr ? static_cast<double>(n) : static_cast<double>(per_row) * std::accumulate(w, w + n / per_row, 0.0);
    group.all_reduce(std::span(total));
    if (total[1] == 0) total[1] = 1;
    std::copy_n(total, 2, sums.data<double>());
    *loss.data<T>() = static_cast<T>(total[0] / total[1]);
  });
}

template <class Loss>
void loss_gradient(const Tensor& dy, const LossInput& in, const Tensor& sums, const Tensor& da) {
  for_float(in.a.dtype(), "loss", [&]<class T>() {
    const T *pa = in.a.data<T>(), *pb = in.b.data<T>(), *w = in.weights.defined() ? in.weights.data<T>() : nullptr;
    T* out = da.data<T>();
    const double seed = static_cast<double>(*dy.data<T>()), divisor = sums.data<double>()[1];
    if (w == nullptr) {
      const T c = static_cast<T>(seed / divisor);
      for_each(in.a.numel(), [=](int64_t i) { out[i] = c * Loss::da(pa[i], pb[i]); });
    } else {
      for_each(in.a.numel(), [=, per_row = in.per_row()](int64_t i) {
        out[i] = static_cast<T>(seed * static_cast<double>(w[i / per_row]) / divisor) * Loss::da(pa[i], pb[i]);
      });
    }
  });
}

}  // namespace cpu

namespace {

// What backward saves: a, b, the sums, and the weights if there are any.
struct SavedLoss {
  LossInput in;
  Tensor sums;

  std::vector<Tensor> saved() const { return {in.a, in.b, in.weights, sums}; }
  static SavedLoss restored(const std::vector<Tensor>& s) { return {{s[0], s[1], s[2]}, s[3]}; }
};

// The gradient by the first argument; `in` may have the arguments in the other order.
template <class Loss>
Tensor gradient(const Tensor& dy, const LossInput& in, const Tensor& sums) {
  const Tensor da = Tensor::empty_like(in.a);
  KDEF_LAUNCH(dy.device(), loss_gradient<Loss>, dy, in, sums, da);
  return da;
}

template <class Loss>
Tensor loss_of(const OpInfo& info, const Tensor& a, const Tensor& b, const Tensor& weights) {
  KDEF_CHECK(a.shape() == b.shape() && a.dtype() == b.dtype() && a.device() == b.device(), info.name, ": ", describe(a),
             " and ", describe(b), " differ");
  KDEF_CHECK(a.numel() > 0, info.name, ": the batch is empty");
  KDEF_CHECK(!weights.defined() || (a.rank() > 0 && weights.shape() == (Shape{a.shape()[0], 1}) &&
                                    weights.dtype() == a.dtype() && weights.device() == a.device()),
             info.name, ": ", describe(a), " needs weights [B, 1], got ", describe(weights));
  const SavedLoss of{{a, b, weights}, Tensor::empty({2}, DType::f64, a.device())};
  const Tensor loss = Tensor::empty({}, a.dtype(), a.device());
  KDEF_LAUNCH(a.device(), mean_loss<Loss>, Group::current(), of.in, of.sums, loss);
  return record(info, loss, {a, b, weights}, of.saved(),
                [](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
                  const SavedLoss saved = SavedLoss::restored(c.saved);
                  const auto& [x, y, w] = saved.in;
                  std::vector<Gradient> grads(2);
                  if (c.needs[0]) grads[0] = gradient<Loss>(dy, saved.in, saved.sums);
                  // A loss that is a function of (a - b)^2 has the same derivative with both exchanged.
                  if constexpr (Loss::kSymmetric) {
                    if (c.needs[1]) grads[1] = gradient<Loss>(dy, {y, x, w}, saved.sums);
                  }
                  return grads;
                });
}

}  // namespace

Tensor binary_cross_entropy(const Tensor& p, const Tensor& y, const Tensor& weights) {
  return loss_of<Bce>(kBceInfo, p, y, weights);
}

Tensor binary_cross_entropy_with_logits(const Tensor& z, const Tensor& y, const Tensor& weights) {
  return loss_of<BceLogits>(kBceWithLogitsInfo, z, y, weights);
}

Tensor mean_squared_error(const Tensor& a, const Tensor& b, const Tensor& weights) {
  return loss_of<Mse>(kMseInfo, a, b, weights);
}

}  // namespace kdef::ops
