#include "core/base/integers.h"
#include "core/cuda/launch.cuh"
#include "ops/loss_functors.h"
#include "ops/loss_kernels.h"

namespace kdef::ops::cuda {
namespace {

using kdef::cuda::Block;
using kdef::cuda::for_blocks;
using kdef::cuda::for_each;

// Elements that a block sums.
constexpr int64_t kElementPart = 2048;

template <class Loss, class T>
struct PartSum {
  const T *a, *b;
  double* partial;
  int64_t n;
  KDEF_DEVICE void operator()(const Block& block) const {
    const int64_t begin = block.index() * kElementPart, end = begin + kElementPart < n ? begin + kElementPart : n;
    double sum = 0;
    for (int64_t i = begin + block.thread(); i < end; i += block.threads()) {
      sum += static_cast<double>(Loss::f(a[i], b[i]));
    }
    sum = block.sum(sum);
    if (block.thread() == 0) partial[block.index()] = sum;
  }
};

template <class T>
struct MeanOfParts {
  const double* partial;
  T* loss;
  int64_t parts, n;
  KDEF_DEVICE void operator()(const Block& block) const {
    double sum = 0;
    for (int64_t p = block.thread(); p < parts; p += block.threads()) sum += partial[p];
    sum = block.sum(sum);
    if (block.thread() == 0) *loss = static_cast<T>(sum / static_cast<double>(n));
  }
};

template <class Loss, class T>
struct GradientOf {
  const T *dy, *a, *b;
  T* da;
  int64_t n;
  KDEF_DEVICE void operator()(int64_t i) const {
    da[i] = static_cast<T>(static_cast<double>(*dy) / static_cast<double>(n)) * Loss::da(a[i], b[i]);
  }
};

}  // namespace

template <class Loss>
void mean_loss(const Tensor& a, const Tensor& b, const Tensor& loss) {
  for_float(a.dtype(), "loss", [&]<class T>() {
    const int64_t n = a.numel(), parts = divide_up(n, kElementPart);
    const Tensor partial = Tensor::empty({parts}, DType::f64, a.device());
    for_blocks(parts, 0, PartSum<Loss, T>{a.data<T>(), b.data<T>(), partial.data<double>(), n});
    for_blocks(1, 0, MeanOfParts<T>{partial.data<double>(), loss.data<T>(), parts, n});
  });
}

template <class Loss>
void loss_gradient(const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& da) {
  for_float(a.dtype(), "loss", [&]<class T>() {
    for_each(a.numel(), GradientOf<Loss, T>{dy.data<T>(), a.data<T>(), b.data<T>(), da.data<T>(), a.numel()});
  });
}

#define KDEF_INSTANTIATE(Loss)                                                \
  template void mean_loss<Loss>(const Tensor&, const Tensor&, const Tensor&); \
  template void loss_gradient<Loss>(const Tensor&, const Tensor&, const Tensor&, const Tensor&);
KDEF_INSTANTIATE(Bce)
KDEF_INSTANTIATE(BceLogits)
KDEF_INSTANTIATE(Mse)
#undef KDEF_INSTANTIATE

}  // namespace kdef::ops::cuda
