// Losses of a batch, each a mean over all elements.
#pragma once

#include "core/tensor/tape.h"

namespace kdef::ops {

extern const OpInfo kBceInfo, kBceWithLogitsInfo, kMseInfo;

/// Binary cross-entropy of probabilities p against labels y in [0, 1] of p's shape:
/// mean of -(y ln p + (1 - y) ln(1 - p)), each logarithm clamped at -100 and, in the gradient, p (1 - p) at
/// 1e-12, as PyTorch's binary_cross_entropy does. Labels are constants.
Tensor binary_cross_entropy(const Tensor& p, const Tensor& y);
/// The same of sigmoid(z), computed from the logits: mean of max(z, 0) - z y + ln(1 + e^-|z|).
Tensor binary_cross_entropy_with_logits(const Tensor& z, const Tensor& y);
/// Mean of (a - b)^2; both get gradients, use detach() for a constant target.
Tensor mean_squared_error(const Tensor& a, const Tensor& b);

}  // namespace kdef::ops
