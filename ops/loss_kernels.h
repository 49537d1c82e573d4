// Kernels of the losses. Each is a template over the functor (ops/loss_functors.h), instantiated per device.
#pragma once

#include "core/base/group.h"
#include "core/tensor/dispatch.h"
#include "core/tensor/tensor.h"

namespace kdef::ops {

/// What the kernels of a loss read: two tensors of one shape, whose rows are the leading axis, and the weights of the
/// rows (may be undefined: all are 1).
struct LossInput {
  Tensor a, b, weights;
  int64_t per_row() const { return weights.defined() ? a.numel() / weights.numel() : a.numel(); }
};

#define KDEF_DECLARE(ns)                                                                                           \
  namespace ns {                                                                                                   \
  /* sums (f64 [2]) = sum of w Loss::f(a, b) and sum of w over all elements of the group's batch, where the second \
     is 1 if all weights are 0; loss = their quotient, a scalar */                                                 \
  template <class Loss>                                                                                            \
  void mean_loss(Group& group, const LossInput& in, const Tensor& sums, const Tensor& loss);                       \
  /* da = dy w Loss::da(a, b) / sums[1], dy a scalar */                                                            \
  template <class Loss>                                                                                            \
  void loss_gradient(const Tensor& dy, const LossInput& in, const Tensor& sums, const Tensor& da);                 \
  }
KDEF_DECLARE(cpu)
KDEF_DECLARE(cuda)
#undef KDEF_DECLARE
}  // namespace kdef::ops
