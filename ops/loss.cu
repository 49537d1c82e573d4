#include "core/base/integers.h"
#include "core/cuda/launch.cuh"
#include "core/tensor/collectives.h"
#include "ops/loss_functors.h"
#include "ops/loss_kernels.h"

namespace kdef::ops::cuda {
namespace {

using kdef::cuda::Block;
using kdef::cuda::for_blocks;
using kdef::cuda::for_each;

// Elements that a block sums.
constexpr int64_t kElementPart = 2048;

// The arguments of all kernels; w is null without weights.
template <class T>
struct Elements {
  const T *a, *b, *w;
  int64_t n, per_row;
  explicit Elements(const LossInput& in)
      : a(in.a.data<T>()),
        b(in.b.data<T>()),
        w(in.weights.defined() ? in.weights.data<T>() : nullptr),
        n(in.a.numel()),
        per_row(in.per_row()) {}
  KDEF_DEVICE double weight(int64_t i) const { return w == nullptr ? 1.0 : static_cast<double>(w[i / per_row]); }
};

// Per part: the sum of w l, and of w.
template <class Loss, class T>
struct PartSum {
  Elements<T> of;
  double* partial;  // [parts, 2]
  KDEF_DEVICE void operator()(const Block& block) const {
    const int64_t begin = block.index() * kElementPart, end = begin + kElementPart < of.n ? begin + kElementPart : of.n;
    double sum = 0, weights = 0;
    for (int64_t i = begin + block.thread(); i < end; i += block.threads()) {
      sum += of.weight(i) * static_cast<double>(Loss::f(of.a[i], of.b[i]));
      weights += of.weight(i);
    }
    sum = block.sum(sum);
    weights = block.sum(weights);
    if (block.thread() != 0) return;
    partial[2 * block.index()] = sum;
    partial[2 * block.index() + 1] = weights;
  }
};

template <class T>
KDEF_DEVICE void finish(double* sums, T* loss) {
  if (sums[1] == 0) sums[1] = 1;
  *loss = static_cast<T>(sums[0] / sums[1]);
}

// The sums of all parts; where they are those of the whole batch, the loss.
template <class T>
struct SumOfParts {
  const double* partial;
  double* sums;
  T* loss;
  int64_t parts;
  bool whole;
  KDEF_DEVICE void operator()(const Block& block) const {
    double sum = 0, weights = 0;
    for (int64_t p = block.thread(); p < parts; p += block.threads()) {
      sum += partial[2 * p];
      weights += partial[2 * p + 1];
    }
    sum = block.sum(sum);
    weights = block.sum(weights);
    if (block.thread() != 0) return;
    sums[0] = sum;
    sums[1] = weights;
    if (whole) finish(sums, loss);
  }
};

template <class T>
struct Finish {
  double* sums;
  T* loss;
  KDEF_DEVICE void operator()(int64_t) const { finish(sums, loss); }
};

template <class Loss, class T>
struct GradientOf {
  const T* dy;
  Elements<T> of;
  const double* sums;
  T* da;
  KDEF_DEVICE void operator()(int64_t i) const {
    const double seed = static_cast<double>(*dy);
    da[i] = static_cast<T>(seed * of.weight(i) / sums[1]) * Loss::da(of.a[i], of.b[i]);
  }
};

}  // namespace

template <class Loss>
void mean_loss(Group& group, const LossInput& in, const Tensor& sums, const Tensor& loss) {
  for_float(in.a.dtype(), "loss", [&]<class T>() {
    const int64_t parts = divide_up(in.a.numel(), kElementPart);
    const Tensor partial = Tensor::empty({parts, 2}, DType::f64, in.a.device());
    for_blocks(parts, 0, PartSum<Loss, T>{Elements<T>(in), partial.data<double>()});
    for_blocks(1, 0,
               SumOfParts<T>{partial.data<double>(), sums.data<double>(), loss.data<T>(), parts, group.is_alone()});
    if (group.is_alone()) return;
    all_reduce(group, sums);
    for_each(1, Finish<T>{sums.data<double>(), loss.data<T>()});
  });
}

template <class Loss>
void loss_gradient(const Tensor& dy, const LossInput& in, const Tensor& sums, const Tensor& da) {
  for_float(in.a.dtype(), "loss", [&]<class T>() {
    for_each(in.a.numel(), GradientOf<Loss, T>{dy.data<T>(), Elements<T>(in), sums.data<double>(), da.data<T>()});
  });
}

#define KDEF_INSTANTIATE(Loss)                                                           \
  template void mean_loss<Loss>(Group&, const LossInput&, const Tensor&, const Tensor&); \
  template void loss_gradient<Loss>(const Tensor&, const LossInput&, const Tensor&, const Tensor&);
KDEF_INSTANTIATE(Bce)
KDEF_INSTANTIATE(BceLogits)
KDEF_INSTANTIATE(Mse)
#undef KDEF_INSTANTIATE

}  // namespace kdef::ops::cuda
