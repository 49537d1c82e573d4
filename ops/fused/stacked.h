// Layers of M networks of one shape, side by side: activations [B, M K] hold a block of K columns for each network.
// Fewer and larger launches than network by network; batch norm and dropout in ops/norm.h.
#pragma once

#include "core/tensor/tape.h"
#include "ops/dropout.h"

namespace kdef::ops {

extern const OpInfo kStackedLinearInfo, kStackedOutputInfo;

/// z_m = x_m W_m^T + b_m for each block: x [B, M K], weight [M, N, K], bias [M, N] or undefined -> [B, M N].
Tensor stacked_linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

/// The networks' logits: z_m = h_m w_m + b_m with h = stacked_batch_norm_relu_dropout(x, bias, ..): x [B, M K], weight
/// [M, K], b (output_bias) [M] -> [B, M]. In training alone. On CUDA h is never in memory, and is made again where
/// backward needs it; on the CPU it is the two ops.
Tensor stacked_output(const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                      const std::vector<Tensor>& running_mean, const std::vector<Tensor>& running_var, double p,
                      const std::vector<DropoutKey>& keys, const Tensor& weight, const Tensor& output_bias,
                      double momentum = 0.1, double eps = 1e-5);

namespace cuda {
/// What stacked_output normalises by, and its weight.
struct OutputLayer {
  Tensor x, mean, rstd, gamma, beta, weight;
  Tensor kept;  // where h > 0: what output_forward returned
  double p;
};
/// z [B, M], and where h > 0: a bit per element, as many in a byte as are read at once.
Tensor output_forward(const OutputLayer& layer, const std::vector<DropoutKey>& keys, const Tensor& bias,
                      const Tensor& z);
/// With d = dz w [h > 0]: dgamma, dbeta [M K] as of column_norm_relu_dropout_sums, and dweight = sum over rows of dz h.
void output_sums(const OutputLayer& layer, const Tensor& dz, const Tensor& dgamma, const Tensor& dbeta,
                 const Tensor& dweight);
/// column_norm_relu_dropout_dx of the same d; dx may be bf16, and dbias is its sum over rows.
void output_dx(const OutputLayer& layer, const Tensor& dz, const Tensor& dgamma, const Tensor& dbeta, const Tensor& dx,
               const Tensor& dbias);
}  // namespace cuda

}  // namespace kdef::ops
