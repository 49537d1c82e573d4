#include "core/cuda/launch.cuh"
#include "ops/pairs.h"

namespace kdef::ops::cuda {
namespace {

using kdef::cuda::for_each;

// One thread copies one element of the square.
template <class T>
struct CopyTriangle {
  T *square, *triangle;
  int64_t fields, pairs;
  bool scatter;
  KDEF_DEVICE void operator()(int64_t at) const {
    const int64_t b = at / (fields * fields), i = at / fields % fields, j = at % fields;
    if (j <= i) {
      if (scatter) square[at] = T(0);
      return;
    }
    // The rows 0 to i - 1 of the triangle hold i (2 F - i - 1) / 2 pairs.
    T& pair = triangle[b * pairs + i * (2 * fields - i - 1) / 2 + j - i - 1];
    if (scatter)
      square[at] = pair;
    else
      pair = square[at];
  }
};

}  // namespace

void copy_triangle(const Tensor& x, const Tensor& y, bool scatter) {
  for_float(x.dtype(), "upper_triangle", [&]<class T>() {
    for_each(x.numel(), CopyTriangle<T>{x.data<T>(), y.data<T>(), x.shape()[1], y.shape()[1], scatter});
  });
}

}  // namespace kdef::ops::cuda
