// Matrix products on the tape.
#pragma once

#include "core/tensor/tape.h"

namespace kdef::ops {

extern const OpInfo kMatmulInfo, kLinearInfo;

/// C = op(A) op(B), op(X) = X or X^T. Rank 2: [m, k] x [k, n] -> [m, n]; rank 3: the same for each leading
/// index.
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);

/// y = x W^T + b: x [B, K], weight [N, K], bias [N] or undefined -> [B, N].
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace kdef::ops
