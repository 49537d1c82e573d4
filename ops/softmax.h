// Softmax and softmin along an axis.
#pragma once

#include "core/tensor/dispatch.h"
#include "core/tensor/tape.h"

namespace kdef::ops {

extern const OpInfo kSoftmaxInfo, kSoftminInfo;

/// y_i = e^(x_i) / sum_j e^(x_j) along `axis`.
Tensor softmax(const Tensor& x, int axis);
/// y_i = e^(-x_i) / sum_j e^(-x_j) along `axis`.
Tensor softmin(const Tensor& x, int axis);

// x seen as [outer, n, inner]
KDEF_KERNEL(void, softmax_forward, const Tensor& x, const Tensor& y, int64_t outer, int64_t n, int64_t inner,
            double sign)
KDEF_KERNEL(void, softmax_backward, const Tensor& dy, const Tensor& y, const Tensor& dx, int64_t outer, int64_t n,
            int64_t inner, double sign)

}  // namespace kdef::ops
