// Batch and layer normalisation.
#pragma once

#include "core/dispatch.h"
#include "core/tape.h"

namespace kdef::ops {

extern const OpInfo kBatchNormInfo, kBatchNormEvalInfo, kLayerNormInfo;

/// Batch normalisation (Ioffe, Szegedy 2015, arXiv 1502.03167) of x [B, C] per column, in training:
/// normalises by the batch's mean and biased variance, and moves the running buffers [C] by `momentum`
/// (towards the unbiased variance). Needs B > 1, for one row has no variance.
Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, double momentum = 0.1, double eps = 1e-5);
/// In evaluation: normalises by the running buffers, which are constants.
Tensor batch_norm_eval(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                       const Tensor& running_var, double eps = 1e-5);
/// Layer normalisation over the last axis: x [.., C], gamma and beta [C].
Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps = 1e-5);

/// Mean and biased variance per column of x [B, C], and 1 / sqrt(var + eps).
KDEF_KERNEL(void, column_moments, const Tensor& x, const Tensor& mean, const Tensor& var, const Tensor& rstd,
            double eps)
/// y = gamma (x - mean) rstd + beta per column.
KDEF_KERNEL(void, column_normalise, const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& gamma,
            const Tensor& beta, const Tensor& y)
/// dgamma = sum dy h, dbeta = sum dy, per column, h = (x - mean) rstd.
KDEF_KERNEL(void, column_norm_sums, const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd,
            const Tensor& dgamma, const Tensor& dbeta)
/// dx = gamma rstd (dy - dbeta / B - h dgamma / B); with `constant` moments dx = gamma rstd dy.
KDEF_KERNEL(void, column_norm_dx, const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd,
            const Tensor& gamma, const Tensor& dgamma, const Tensor& dbeta, bool constant, const Tensor& dx)
KDEF_KERNEL(void, layer_norm_forward, const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& y,
            const Tensor& mean, const Tensor& rstd, double eps)
KDEF_KERNEL(void, layer_norm_backward, const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean,
            const Tensor& rstd, const Tensor& dx)
/// dgamma = sum over rows of dy (x - mean) rstd with per-row moments; dbeta = sum of dy.
KDEF_KERNEL(void, layer_norm_sums, const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd,
            const Tensor& dgamma, const Tensor& dbeta)

}  // namespace kdef::ops
