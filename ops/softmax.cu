#include "core/cuda/launch.cuh"
#include "ops/rowwise_functors.h"
#include "ops/softmax.h"

namespace kdef::ops::cuda {
namespace {

using kdef::cuda::for_each;
using kdef::cuda::for_warps;
using kdef::cuda::Warp;

// One row of n elements that are `inner` apart. Where inner is 1, the lanes of a warp share the row. Otherwise one
// thread computes the row; neighbouring threads compute neighbouring rows, so that they read neighbouring memory.
template <class T>
struct SoftmaxForward {
  const T* x;
  T* y;
  int64_t n, inner;
  T sign;
  template <class Lane>
  KDEF_DEVICE void operator()(const Lane& lane, int64_t row) const {
    const int64_t at = row / inner * n * inner + row % inner;
    SoftmaxRow::forward(lane, x + at, y + at, n, inner, sign);
  }
  KDEF_DEVICE void operator()(int64_t row) const { (*this)(ScalarLane{}, row); }
};

template <class T>
struct SoftmaxBackward {
  const T *dy, *y;
  T* dx;
  int64_t n, inner;
  T sign;
  template <class Lane>
  KDEF_DEVICE void operator()(const Lane& lane, int64_t row) const {
    const int64_t at = row / inner * n * inner + row % inner;
    SoftmaxRow::backward(lane, dy + at, y + at, dx + at, n, inner, sign);
  }
  KDEF_DEVICE void operator()(int64_t row) const { (*this)(ScalarLane{}, row); }
};

template <class K>
void launch(int64_t rows, int64_t inner, const K& kernel) {
  if (inner == 1)
    for_warps(rows, kernel);
  else
    for_each(rows, kernel);
}

}  // namespace

void softmax_forward(const Tensor& x, const Tensor& y, int64_t outer, int64_t n, int64_t inner, double sign) {
  for_float(x.dtype(), "softmax", [&]<class T>() {
    launch(outer * inner, inner, SoftmaxForward<T>{x.data<T>(), y.data<T>(), n, inner, static_cast<T>(sign)});
  });
}

void softmax_backward(const Tensor& dy, const Tensor& y, const Tensor& dx, int64_t outer, int64_t n, int64_t inner,
                      double sign) {
  for_float(dy.dtype(), "softmax", [&]<class T>() {
    launch(outer * inner, inner,
           SoftmaxBackward<T>{dy.data<T>(), y.data<T>(), dx.data<T>(), n, inner, static_cast<T>(sign)});
  });
}

}  // namespace kdef::ops::cuda
