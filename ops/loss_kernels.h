// Kernels of the losses. Each is a template over the functor (ops/loss_functors.h), instantiated per device.
#pragma once

#include "core/tensor/dispatch.h"
#include "core/tensor/tensor.h"

namespace kdef::ops {
#define KDEF_DECLARE(ns)                                                                    \
  namespace ns {                                                                            \
  /* loss = mean of Loss::f(a, b), a scalar */                                              \
  template <class Loss>                                                                     \
  void mean_loss(const Tensor& a, const Tensor& b, const Tensor& loss);                     \
  /* da = dy / n Loss::da(a, b), dy a scalar */                                             \
  template <class Loss>                                                                     \
  void loss_gradient(const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& da); \
  }
KDEF_DECLARE(cpu)
KDEF_DECLARE(cuda)
#undef KDEF_DECLARE
}  // namespace kdef::ops
