#include "core/cuda/launch.cuh"
#include "ops/device/broadcast.h"
#include "ops/elementwise_functors.h"
#include "ops/elementwise_kernels.h"

namespace kdef::ops::cuda {
namespace {

using kdef::cuda::for_each;

template <class F, class T>
struct Unary {
  F f;
  const T* x;
  T* y;
  KDEF_DEVICE void operator()(int64_t i) const { y[i] = f.f(x[i]); }
};

template <class F, class T>
struct UnaryBackward {
  F f;
  const T *dy, *x, *y;
  T* dx;
  KDEF_DEVICE void operator()(int64_t i) const { dx[i] = f.dx(dy[i], x[i], y[i]); }
};

// The offsets of the operands of element i of the result.
struct Broadcast {
  int rank;
  bool same;  // nothing is broadcast
  int64_t sizes[Shape::kMaxRank], a[Shape::kMaxRank], b[Shape::kMaxRank];

  Broadcast(const Shape& y, const Shape& shape_a, const Shape& shape_b)
      : rank(y.rank()), same(shape_a == y && shape_b == y) {
    const auto sa = broadcast_strides(shape_a, y), sb = broadcast_strides(shape_b, y);
    for (int axis = 0; axis < Shape::kMaxRank; ++axis) {
      sizes[axis] = axis < rank ? y[axis] : 1;
      a[axis] = sa[static_cast<size_t>(axis)];
      b[axis] = sb[static_cast<size_t>(axis)];
    }
  }
  KDEF_DEVICE void find(int64_t i, int64_t& ia, int64_t& ib) const {
    if (same) {
      ia = ib = i;
      return;
    }
    ia = ib = 0;
    for (int axis = rank - 1; axis >= 0; --axis) {
      const int64_t at = i % sizes[axis];
      i /= sizes[axis];
      ia += at * a[axis];
      ib += at * b[axis];
    }
  }
};

template <class F, class T>
struct Binary {
  F f;
  Broadcast where;
  const T *a, *b;
  T* y;
  KDEF_DEVICE void operator()(int64_t i) const {
    int64_t ia, ib;
    where.find(i, ia, ib);
    y[i] = f.f(a[ia], b[ib]);
  }
};

template <class F, class T>
struct BinaryBackward {
  F f;
  bool of_b;
  Broadcast where;
  const T *dy, *a, *b, *y;
  T* g;
  KDEF_DEVICE void operator()(int64_t i) const {
    int64_t ia, ib;
    where.find(i, ia, ib);
    g[i] = of_b ? f.db(dy[i], a[ia], b[ib], y[i]) : f.da(dy[i], a[ia], b[ib], y[i]);
  }
};

}  // namespace

template <class F>
void unary(const F& f, const Tensor& x, const Tensor& y) {
  for_float(x.dtype(), "elementwise", [&]<class T>() {
    for_each(x.numel(), Unary<F, T>{f, x.data<T>(), y.data<T>()});
  });
}

template <class F>
void unary_backward(const F& f, const Tensor& dy, const Tensor& x, const Tensor& y, const Tensor& dx) {
  for_float(x.dtype(), "elementwise", [&]<class T>() {
    for_each(x.numel(), UnaryBackward<F, T>{f, dy.data<T>(), x.data<T>(), y.data<T>(), dx.data<T>()});
  });
}

template <class F>
void binary(const F& f, const Tensor& a, const Tensor& b, const Tensor& y) {
  for_float(a.dtype(), "elementwise", [&]<class T>() {
    const Broadcast where(y.shape(), a.shape(), b.shape());
    for_each(y.numel(), Binary<F, T>{f, where, a.data<T>(), b.data<T>(), y.data<T>()});
  });
}

template <class F>
void binary_backward(const F& f, bool of_b, const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& y,
                     const Tensor& g) {
  for_float(a.dtype(), "elementwise", [&]<class T>() {
    const Broadcast where(y.shape(), a.shape(), b.shape());
    for_each(y.numel(),
             BinaryBackward<F, T>{f, of_b, where, dy.data<T>(), a.data<T>(), b.data<T>(), y.data<T>(), g.data<T>()});
  });
}

#define KDEF_INSTANTIATE(function, Functor, ...)                              \
  template void unary<Functor>(const Functor&, const Tensor&, const Tensor&); \
  template void unary_backward<Functor>(const Functor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&);
KDEF_UNARY_OPS(KDEF_INSTANTIATE)
KDEF_SCALAR_OPS(KDEF_INSTANTIATE)
#undef KDEF_INSTANTIATE

#define KDEF_INSTANTIATE(function, Functor, ...)                                                            \
  template void binary<Functor>(const Functor&, const Tensor&, const Tensor&, const Tensor&);               \
  template void binary_backward<Functor>(const Functor&, bool, const Tensor&, const Tensor&, const Tensor&, \
                                         const Tensor&, const Tensor&);
KDEF_BINARY_OPS(KDEF_INSTANTIATE)
#undef KDEF_INSTANTIATE

}  // namespace kdef::ops::cuda
