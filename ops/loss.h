// Losses of a batch, each a mean over all elements. The rows of a batch are the leading axis.
//
// The weights w [B, 1] >= 0 hold one number per row. The weighted mean of losses l [B, K] is sum_bk w_b l_bk /
// (K sum_b w_b). It is 0 where all weights are 0. Undefined weights: every row counts once. Labels and weights are
// constants. Error for an empty batch, for arguments of different shapes, types or devices, and for weights of another
// shape than [B, 1].
//
// In a group of processes (core/base/group.h) the arguments are this member's rows of the batch. Every member gets the
// mean over the whole batch; the members' gradients of a parameter add up to the batch's gradient.
#pragma once

#include "core/tensor/tape.h"

namespace kdef::ops {

extern const OpInfo kBceInfo, kBceWithLogitsInfo, kMseInfo;

/// Binary cross-entropy of probabilities p against labels y in [0, 1] of p's shape:
/// mean of -(y ln p + (1 - y) ln(1 - p)), each logarithm clamped at -100 and, in the gradient, p (1 - p) at
/// 1e-12, as PyTorch's binary_cross_entropy does.
Tensor binary_cross_entropy(const Tensor& p, const Tensor& y, const Tensor& weights = {});
/// The same of sigmoid(z), computed from the logits: mean of max(z, 0) - z y + ln(1 + e^-|z|).
Tensor binary_cross_entropy_with_logits(const Tensor& z, const Tensor& y, const Tensor& weights = {});
/// Mean of (a - b)^2; both get gradients, use detach() for a constant target.
Tensor mean_squared_error(const Tensor& a, const Tensor& b, const Tensor& weights = {});

}  // namespace kdef::ops
