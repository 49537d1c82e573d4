// Batch and layer normalisation.
#pragma once

#include <vector>

#include "core/tensor/dispatch.h"
#include "core/tensor/tape.h"
#include "ops/dropout.h"

namespace kdef::ops {

extern const OpInfo kBatchNormInfo, kBatchNormEvalInfo, kBatchNormReluDropoutInfo, kStackedBatchNormReluDropoutInfo,
    kLayerNormInfo;

/// Batch normalisation (Ioffe, Szegedy 2015, arXiv 1502.03167) of x [B, C] per column, in training. It normalises by
/// the batch's mean and biased variance, and moves the running buffers [C] by `momentum` towards the batch's mean and
/// unbiased variance. B must be at least 2: one row has no variance.
Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, double momentum = 0.1, double eps = 1e-5);
/// Batch normalisation in evaluation: it normalises by the running buffers, which are constants.
Tensor batch_norm_eval(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                       const Tensor& running_var, double eps = 1e-5);
/// The fused hidden layer dropout(relu(batch_norm(x))). It gives the result of batch_norm, relu and dropout one after
/// the other (in evaluation: of batch_norm_eval and relu), in one pass over x after the pass for the moments.
Tensor batch_norm_relu_dropout(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                               const Tensor& running_var, bool training, double p, const DropoutKey& key,
                               double momentum = 0.1, double eps = 1e-5);
/// The fused hidden layer of x + bias for M networks of one shape side by side, in training: x [B, M K] has a block of
/// K columns for each network; bias, gamma and beta are [M K]; there are M running means [K], M running variances [K]
/// and M dropout keys. Batch norm subtracts the mean and with it the bias, so that the bias changes the running means
/// only; dbias = sum over rows of dx is 0 up to rounding. The result is an operand of a product (operand_type() in
/// ops/gemm/route.h): on CUDA the result and dx may be bf16. x must then be the result of a product, and no other op
/// may read x, because bf16 gradients are not added on CUDA; backward() refuses the tape otherwise.
Tensor stacked_batch_norm_relu_dropout(const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                                       const std::vector<Tensor>& running_mean, const std::vector<Tensor>& running_var,
                                       double p, const std::vector<DropoutKey>& keys, double momentum = 0.1,
                                       double eps = 1e-5);
/// The largest number of networks side by side.
inline constexpr size_t kMostStacked = 64;
/// Throws unless bias, gamma, beta, the buffers and the keys are those of networks side by side in x, and 0 <= p < 1.
void check_stacked(const char* op, const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                   const std::vector<Tensor>& running_mean, const std::vector<Tensor>& running_var, double p,
                   const std::vector<DropoutKey>& keys);
/// Layer normalisation over the last axis: x [.., C], gamma and beta [C].
Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps = 1e-5);

/// The attributes of an op that contains a hidden layer: training, momentum, eps, and the dropout masks if there are
/// any.
Attributes hidden_layer_attributes(bool training, double momentum, double eps, double rate,
                                   const std::vector<DropoutKey>& keys);

/// Throws unless gamma and beta are of x's last axis and type; `op` is named in the message.
void check_norm(const char* op, const Tensor& x, const Tensor& gamma, const Tensor& beta);
/// The numbers of each column by which batch normalisation shifts and scales: the mean and 1 / sqrt(var + eps).
struct NormMoments {
  Tensor mean, rstd;  // [C]
};
/// In training these are the batch's, and the running buffers move towards the moments of x + bias (bias may be
/// undefined). In evaluation they are those of the running buffers.
NormMoments norm_moments(const Tensor& x, const std::vector<Tensor>& running_mean,
                         const std::vector<Tensor>& running_var, bool training, double momentum, double eps,
                         const Tensor& bias = {});

/// Mean and biased variance per column of x [B, C], and 1 / sqrt(var + eps).
KDEF_KERNEL(void, column_moments, const Tensor& x, const Tensor& mean, const Tensor& var, const Tensor& rstd,
            double eps)
/// running += momentum (factor observed + shift - running). `observed` and `shift` hold the numbers of all buffers one
/// after the other; shift may be undefined.
KDEF_KERNEL(void, move_running, const std::vector<Tensor>& running, const Tensor& observed, const Tensor& shift,
            double momentum, double factor)
/// rstd = 1 / sqrt(var + eps)
KDEF_KERNEL(void, reciprocal_sqrt, const Tensor& var, double eps, const Tensor& rstd)
/// y = gamma (x - mean) rstd + beta per column.
KDEF_KERNEL(void, column_normalise, const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& gamma,
            const Tensor& beta, const Tensor& y)
/// dgamma = sum dy h, dbeta = sum dy, per column, h = (x - mean) rstd.
KDEF_KERNEL(void, column_norm_sums, const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd,
            const Tensor& dgamma, const Tensor& dbeta)
/// dx = gamma rstd (dy - dbeta / B - h dgamma / B); with `constant` moments dx = gamma rstd dy.
KDEF_KERNEL(void, column_norm_dx, const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd,
            const Tensor& gamma, const Tensor& dgamma, const Tensor& dbeta, bool constant, const Tensor& dx)
/// y = dropout(max(gamma (x - mean) rstd + beta, 0)). Each key is that of one block of columns. On CUDA y may be bf16.
KDEF_KERNEL(void, column_norm_relu_dropout, const Tensor& x, const Tensor& mean, const Tensor& rstd,
            const Tensor& gamma, const Tensor& beta, double p, const std::vector<DropoutKey>& keys, const Tensor& y)
/// column_norm_sums of d = dy [y > 0] / (1 - p)
KDEF_KERNEL(void, column_norm_relu_dropout_sums, const Tensor& dy, const Tensor& y, const Tensor& x, const Tensor& mean,
            const Tensor& rstd, double p, const Tensor& dgamma, const Tensor& dbeta)
/// column_norm_dx of the same d. dbias (may be undefined) is the sum of dx over the rows. On CUDA dx may be bf16; it is
/// rounded after it is added to dbias.
KDEF_KERNEL(void, column_norm_relu_dropout_dx, const Tensor& dy, const Tensor& y, const Tensor& x, const Tensor& mean,
            const Tensor& rstd, const Tensor& gamma, const Tensor& dgamma, const Tensor& dbeta, double p, bool constant,
            const Tensor& dx, const Tensor& dbias)
KDEF_KERNEL(void, layer_norm_forward, const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& y,
            const Tensor& mean, const Tensor& rstd, double eps)
KDEF_KERNEL(void, layer_norm_backward, const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean,
            const Tensor& rstd, const Tensor& dx)
/// dgamma = sum over rows of dy (x - mean) rstd with per-row moments; dbeta = sum of dy.
KDEF_KERNEL(void, layer_norm_sums, const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd,
            const Tensor& dgamma, const Tensor& dbeta)

}  // namespace kdef::ops
