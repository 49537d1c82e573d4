// Kernels of the elementwise ops. Each is a template over the functor, instantiated per device from the
// lists.
#pragma once

#include "core/tensor/dispatch.h"
#include "core/tensor/tensor.h"

namespace kdef::ops {
#define KDEF_DECLARE(ns)                                                                                           \
  namespace ns {                                                                                                   \
  /* y = f(x) */                                                                                                   \
  template <class F>                                                                                               \
  void unary(const F& f, const Tensor& x, const Tensor& y);                                                        \
  /* dx = f.dx(dy, x, y) */                                                                                        \
  template <class F>                                                                                               \
  void unary_backward(const F& f, const Tensor& dy, const Tensor& x, const Tensor& y, const Tensor& dx);           \
  /* y = f(a, b), broadcast */                                                                                     \
  template <class F>                                                                                               \
  void binary(const F& f, const Tensor& a, const Tensor& b, const Tensor& y);                                      \
  /* g = f.da or f.db (dy, a, b, y), of y's shape */                                                               \
  template <class F>                                                                                               \
  void binary_backward(const F& f, bool of_b, const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& y, \
                       const Tensor& g);                                                                           \
  }
KDEF_DECLARE(cpu)
KDEF_DECLARE(cuda)
#undef KDEF_DECLARE
}  // namespace kdef::ops
