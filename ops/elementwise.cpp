#include "ops/elementwise.h"

#include <array>

#include "core/tensor/launch.h"
#include "ops/device/launch_cpu.h"
#include "ops/elementwise_kernels.h"
#include "ops/reduce.h"

namespace kdef::ops {

namespace cpu {

template <class F>
void unary(const F& f, const Tensor& x, const Tensor& y) {
  for_float(x.dtype(), "elementwise", [&]<class T>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    for_each(x.numel(), [=](int64_t i) { out[i] = f.f(in[i]); });
  });
}

template <class F>
void unary_backward(const F& f, const Tensor& dy, const Tensor& x, const Tensor& y, const Tensor& dx) {
  for_float(x.dtype(), "elementwise", [&]<class T>() {
    const T *g = dy.data<T>(), *in = x.data<T>(), *out = y.data<T>();
    T* d = dx.data<T>();
    for_each(x.numel(), [=](int64_t i) { d[i] = f.dx(g[i], in[i], out[i]); });
  });
}

template <class F>
void binary(const F& f, const Tensor& a, const Tensor& b, const Tensor& y) {
  for_float(a.dtype(), "elementwise", [&]<class T>() {
    const T *pa = a.data<T>(), *pb = b.data<T>();
    T* out = y.data<T>();
    for_each_broadcast(y.shape(), a.shape(), b.shape(),
                       [=](int64_t i, int64_t ia, int64_t ib) { out[i] = f.f(pa[ia], pb[ib]); });
  });
}

template <class F>
void binary_backward(const F& f, bool of_b, const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& y,
                     const Tensor& g) {
  for_float(a.dtype(), "elementwise", [&]<class T>() {
    const T *pa = a.data<T>(), *pb = b.data<T>(), *pdy = dy.data<T>(), *py = y.data<T>();
    T* out = g.data<T>();
    if (of_b) {
      for_each_broadcast(y.shape(), a.shape(), b.shape(),
                         [=](int64_t i, int64_t ia, int64_t ib) { out[i] = f.db(pdy[i], pa[ia], pb[ib], py[i]); });
    } else {
      for_each_broadcast(y.shape(), a.shape(), b.shape(),
                         [=](int64_t i, int64_t ia, int64_t ib) { out[i] = f.da(pdy[i], pa[ia], pb[ib], py[i]); });
    }
  });
}

}  // namespace cpu

namespace {

Tensor if_read(unsigned reads, Reads which, const Tensor& t) { return reads & which ? t : Tensor(); }

// A tensor that the derivative does not read is not saved. The kernels get dy in its place.
const Tensor& or_unread(const Tensor& saved, const Tensor& dy) { return saved.defined() ? saved : dy; }

template <class F>
Tensor make_unary(const F& f, const OpInfo& info, const Tensor& x, Attributes attributes = {}) {
  Tensor y = Tensor::empty_like(x);
  KDEF_LAUNCH(x.device(), unary, f, x, y);
  return record(
      info, y, {x}, {if_read(F::kReads, kX, x), if_read(F::kReads, kY, y)},
      [f](const BackwardContext& c, const Tensor& dy) -> std::vector<Gradient> {
        const Tensor dx = Tensor::empty_like(dy);
        KDEF_LAUNCH(dy.device(), unary_backward, f, dy, or_unread(c.saved[0], dy), or_unread(c.saved[1], dy), dx);
        return {dx};
      },
      std::move(attributes));
}

template <class F>
Tensor make_binary(const F& f, const OpInfo& info, const Tensor& a, const Tensor& b) {
  KDEF_CHECK(a.dtype() == b.dtype() && a.device() == b.device(), info.name, ": operands differ: ", describe(a), " and ",
             describe(b));
  Tensor y = Tensor::empty(broadcast(a.shape(), b.shape(), info.name), a.dtype(), a.device());
  KDEF_LAUNCH(a.device(), binary, f, a, b, y);
  const unsigned reads = (a.requires_grad() ? F::kReadsDa : 0) | (b.requires_grad() ? F::kReadsDb : 0);
  return record(info, y, {a, b}, {if_read(reads, kA, a), if_read(reads, kB, b), if_read(reads, kY, y)},
                [f, shapes = std::array{a.shape(), b.shape()}](const BackwardContext& c, const Tensor& dy) {
                  std::vector<Gradient> grads(2);
                  for (size_t i = 0; i < 2; ++i) {
                    if (!c.needs[i]) continue;
                    const Tensor g = Tensor::empty_like(dy);
                    KDEF_LAUNCH(dy.device(), binary_backward, f, i == 1, dy, or_unread(c.saved[0], dy),
                                or_unread(c.saved[1], dy), or_unread(c.saved[2], dy), g);
                    grads[i] = sum_to(g, shapes[i]);
                  }
                  return grads;
                });
}

}  // namespace

#define KDEF_DEFINE(function, Functor, value, derivative, ...) \
  const OpInfo k##Functor##Info{#function, value, derivative}; \
  Tensor function(const Tensor& x) { return make_unary(Functor{}, k##Functor##Info, x); }
KDEF_UNARY_OPS(KDEF_DEFINE)
#undef KDEF_DEFINE

#define KDEF_DEFINE(function, Functor, value, derivative, ...) \
  const OpInfo k##Functor##Info{#function, value, derivative}; \
  Tensor function(const Tensor& x, double c) { return make_unary(Functor{c}, k##Functor##Info, x, {{"c", c}}); }
KDEF_SCALAR_OPS(KDEF_DEFINE)
#undef KDEF_DEFINE

#define KDEF_DEFINE(function, Functor, value, derivative, ...) \
  const OpInfo k##Functor##Info{#function, value, derivative}; \
  Tensor function(const Tensor& a, const Tensor& b) { return make_binary(Functor{}, k##Functor##Info, a, b); }
KDEF_BINARY_OPS(KDEF_DEFINE)
#undef KDEF_DEFINE

Shape broadcast(const Shape& a, const Shape& b, const char* op) {
  Shape y = a.rank() >= b.rank() ? a : b;
  for (int i = 1; i <= y.rank(); ++i) {
    const int64_t sa = i <= a.rank() ? a[a.rank() - i] : 1, sb = i <= b.rank() ? b[b.rank() - i] : 1;
    KDEF_CHECK(sa == sb || sa == 1 || sb == 1, op, ": shapes ", a, " and ", b, " do not broadcast");
    y[y.rank() - i] = sa == 1 ? sb : sa;
  }
  return y;
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Tensor y = x;
  const int extra = x.rank() - shape.rank();
  for (int axis = 0; axis < x.rank(); ++axis) {
    const int64_t target = axis < extra ? 1 : shape[axis - extra];
    if (target == 1 && y.shape()[axis] != 1) y = sum(y, axis, true);
  }
  return y.alias(shape);
}

}  // namespace kdef::ops
