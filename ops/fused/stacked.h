// Layers of M networks of one shape, side by side: activations [B, M K] hold a block of K columns for each network.
// One launch for all networks takes a GPU less time than a launch per network. Batch norm and dropout of such networks
// are in ops/norm.h.
#pragma once

#include "core/tensor/tape.h"
#include "ops/norm.h"

namespace kdef::ops {

extern const OpInfo kStackedLinearInfo, kStackedOutputInfo;

/// z_m = x_m W_m^T + b_m for each block: x [B, M K], weight [M, N, K], bias [M, N] or undefined -> [B, M N].
Tensor stacked_linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

/// The networks' logits: z_m = h_m w_m + b_m with h = stacked_batch_norm_relu_dropout(x, layers): x [B, M K], weight
/// [M, K], bias b [M] -> [B, M]. For training only. On CUDA, h is never in memory: the backward pass computes it again.
/// On the CPU this is the two ops, one after the other.
Tensor stacked_output(const Tensor& x, const HiddenLayer& layers, const Tensor& weight, const Tensor& bias);

namespace cuda {
// `s` is the state of the hidden layers; weight [M, K]. s.kept holds a bit per element: a byte holds the elements that
// a thread reads at once.

/// Computes z [B, M], and returns s.kept.
Tensor output_forward(const NormState& s, const std::vector<DropoutKey>& keys, const Tensor& bias, const Tensor& z);
/// With d = dz w [h > 0]: the sums of column_norm_relu_dropout_sums, and dweight = sum over rows of dz h.
void output_sums(const NormState& s, const Tensor& dz, const NormSums& sums, const Tensor& dweight);
/// column_norm_relu_dropout_dx of the same d; dx may be bf16, and dbias is its sum over rows.
void output_dx(const NormState& s, const Tensor& dz, const NormSums& sums, const Tensor& dx, const Tensor& dbias);
}  // namespace cuda

}  // namespace kdef::ops
