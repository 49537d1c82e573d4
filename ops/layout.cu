#include <algorithm>

#include "core/cuda/launch.cuh"
#include "ops/layout.h"

namespace kdef::ops::cuda {
namespace {

using kdef::cuda::for_each;
using kdef::cuda::kDescribed;
using kdef::cuda::partition_point;

// Copies rows of `n` elements. The rows of x are `nx` elements apart, those of y `ny`. T is any type of the element's
// size.
template <class T>
struct CopySlab {
  const T* x;
  T* y;
  int64_t n, nx, ny;
  KDEF_DEVICE void operator()(int64_t i) const { y[i / n * ny + i % n] = x[i / n * nx + i % n]; }
};

template <class T>
struct Join {
  T* y;
  int64_t count;
  int64_t begin[kDescribed];  // where each part begins in y
  const T* part[kDescribed];
  KDEF_DEVICE void operator()(int64_t i) const {
    // Element i belongs to the last part that begins at or before i.
    const int64_t p = partition_point(0, count, [&](int64_t q) { return begin[q] <= i; }) - 1;
    y[i] = part[p][i - begin[p]];
  }
};

template <class T>
struct TransposeCopy {
  const T* x;
  T* y;
  int64_t m, q, n, r;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t row = i / r, im = row % m, iq = row / m % q, in = row / m / q % n, ip = row / m / q / n;
    y[i] = x[(((ip * m + im) * q + iq) * n + in) * r + i % r];
  }
};

template <class T>
void join_as(const std::vector<Tensor>& xs, const Tensor& y) {
  T* to = reinterpret_cast<T*>(y.raw());
  for (size_t first = 0; first < xs.size(); first += kDescribed) {
    Join<T> kernel{to, 0, {}, {}};
    int64_t at = 0;
    for (size_t i = first; i < std::min(xs.size(), first + kDescribed); ++i) {
      if (xs[i].numel() == 0) continue;
      kernel.begin[kernel.count] = at;
      kernel.part[kernel.count++] = reinterpret_cast<const T*>(xs[i].raw());
      at += static_cast<int64_t>(xs[i].bytes() / sizeof(T));
    }
    for_each(at, kernel);
    to += at;
  }
}
struct alignas(16) Sixteen {
  uint64_t v[2];
};

template <class Fn>
void for_size(DType t, Fn&& fn) {
  switch (size_of(t)) {
    case 1:
      return fn.template operator()<uint8_t>();
    case 2:
      return fn.template operator()<uint16_t>();
    case 4:
      return fn.template operator()<uint32_t>();
    default:
      return fn.template operator()<uint64_t>();
  }
}

}  // namespace

void copy_slab(const Tensor& x, const Tensor& y, int64_t outer, int64_t inner, int64_t nx, int64_t first_x, int64_t ny,
               int64_t first_y, int64_t count) {
  for_size(x.dtype(), [&]<class T>() {
    const T* from = reinterpret_cast<const T*>(x.raw()) + first_x * inner;
    T* to = reinterpret_cast<T*>(y.raw()) + first_y * inner;
    for_each(outer * count * inner, CopySlab<T>{from, to, count * inner, nx * inner, ny * inner});
  });
}

void join(const std::vector<Tensor>& xs, const Tensor& y) {
  const auto whole = [](const Tensor& x) {
    return x.bytes() % 16 == 0 && reinterpret_cast<uintptr_t>(x.raw()) % 16 == 0;
  };
  if (whole(y) && std::all_of(xs.begin(), xs.end(), whole)) return join_as<Sixteen>(xs, y);
  for_size(y.dtype(), [&]<class T>() { join_as<T>(xs, y); });
}

void transpose_copy(const Tensor& x, const Tensor& y, int64_t p, int64_t m, int64_t q, int64_t n, int64_t r) {
  for_float(x.dtype(), "transpose", [&]<class T>() {
    for_each(p * m * q * n * r, TransposeCopy<T>{x.data<T>(), y.data<T>(), m, q, n, r});
  });
}

}  // namespace kdef::ops::cuda
