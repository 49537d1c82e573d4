// Layers of M networks of one shape, side by side: activations [B, M K] hold a block of K columns for each network.
// One launch for all networks costs a GPU less than a launch per network. Batch norm and dropout of such networks are
// in ops/norm.h.
#pragma once

#include "core/tensor/tape.h"
#include "ops/dropout.h"

namespace kdef::ops {

extern const OpInfo kStackedLinearInfo, kStackedOutputInfo;

/// z_m = x_m W_m^T + b_m for each block: x [B, M K], weight [M, N, K], bias [M, N] or undefined -> [B, M N].
Tensor stacked_linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

/// The networks' logits: z_m = h_m w_m + b_m with h = stacked_batch_norm_relu_dropout(x, bias, ..): x [B, M K], weight
/// [M, K], b (output_bias) [M] -> [B, M]. For training only. On CUDA, h is never in memory: the backward pass computes
/// it again. On the CPU this is the two ops, one after the other.
Tensor stacked_output(const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                      const std::vector<Tensor>& running_mean, const std::vector<Tensor>& running_var, double p,
                      const std::vector<DropoutKey>& keys, const Tensor& weight, const Tensor& output_bias,
                      double momentum = 0.1, double eps = 1e-5);

namespace cuda {
/// The input of stacked_output, the moments that it normalises by, and its parameters.
struct OutputLayer {
  Tensor x, mean, rstd, gamma, beta, weight;
  Tensor kept;  // where h > 0: the result of output_forward
  double p;
};
/// Computes z [B, M], and returns where h > 0: a bit per element; a byte holds the elements that a thread reads at
/// once.
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
