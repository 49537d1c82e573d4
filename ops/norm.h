// Batch and layer normalisation.
#pragma once

#include <span>
#include <vector>

#include "core/base/group.h"
#include "core/tensor/dispatch.h"
#include "core/tensor/tape.h"
#include "ops/dropout.h"

namespace kdef::ops {

extern const OpInfo kBatchNormInfo, kBatchNormEvalInfo, kBatchNormReluDropoutInfo, kStackedBatchNormReluDropoutInfo,
    kLayerNormInfo;

/// Batch normalisation (Ioffe, Szegedy 2015, arXiv 1502.03167) of x [B, C] per column, in training. It normalises by
/// the batch's mean and biased variance, and moves the running buffers [C] by `momentum` towards the batch's mean and
/// unbiased variance. B must be at least 2: one row has no variance.
///
/// In a group of processes (core/base/group.h), x is this member's rows. Mean, variance and B are those of the whole
/// batch, as in every op below that contains batch normalisation; so every member moves its buffers alike. The members'
/// dgamma and dbeta add up to those of the batch; dx is the part of the batch's dx that belongs to these rows.
Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, double momentum = 0.1, double eps = 1e-5);
/// Batch normalisation in evaluation: it normalises by the running buffers, which are constants.
Tensor batch_norm_eval(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                       const Tensor& running_var, double eps = 1e-5);

/// A hidden layer h = dropout(max(batch_norm(x), 0)) of x [B, C]; or M such layers of one shape side by side, each with
/// a block of K = C / M columns. One layer: M = 1.
struct HiddenLayer {
  Tensor gamma, beta;                             // [C]
  std::vector<Tensor> running_mean, running_var;  // M of each, [K]; training moves them
  bool training = true;                           // false: batch norm by the running buffers, without dropout
  double p = 0;                                   // dropout rate, 0 <= p < 1
  std::vector<DropoutKey> keys = {DropoutKey{}};  // M
  Tensor bias = {};                               // [C], added to x before batch norm; undefined for a single layer
  double momentum = 0.1, eps = 1e-5;              // of batch norm
};

/// The fused hidden layer (M = 1) of x [B, C]. It gives the result of batch_norm, relu and dropout one after the other
/// (in evaluation: of batch_norm_eval and relu), in one pass over x after the pass for the moments.
Tensor batch_norm_relu_dropout(const Tensor& x, const HiddenLayer& layer);
/// The fused hidden layers of x + bias [B, M K] for M networks of one shape side by side, in training. Batch norm
/// subtracts the mean and with it the bias, so that the bias changes the running means only; dbias = sum over rows of
/// dx is 0 up to rounding. The result is an operand of a product (operand_type() in ops/gemm/route.h): on CUDA the
/// result and dx may be bf16. x must then be the result of a product, and no other op may read x, because bf16
/// gradients are not added on CUDA; backward() refuses the tape otherwise.
Tensor stacked_batch_norm_relu_dropout(const Tensor& x, const HiddenLayer& layers);
/// The maximum number of networks side by side.
inline constexpr size_t kMaxStacked = 64;
/// Layer normalisation over the last axis: x [.., C], gamma and beta [C].
Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps = 1e-5);

// ---- For ops that contain batch normalisation.

/// Throws unless gamma and beta are of x's last axis and type; `op` is named in the message.
void check_norm(const char* op, const Tensor& x, const Tensor& gamma, const Tensor& beta);
/// Throws unless `layer` is one layer that fits x.
void check_hidden(const char* op, const Tensor& x, const HiddenLayer& layer);
/// Throws unless `layers` are those of networks side by side in x, for training.
void check_stacked(const char* op, const Tensor& x, const HiddenLayer& layers);

/// The rows over which moments are taken.
struct NormBatch {
  Group* group;  // its members' rows make the batch
  int64_t rows;  // of the whole batch; 0: the moments do not depend on the batch (evaluation)
};

/// Batch normalisation, or a hidden layer, whose moments are known: what its kernels read, and what an op saves for its
/// backward pass.
struct NormState {
  Tensor x;            // [B, C]
  Tensor mean, rstd;   // [C]: moments; rstd = 1 / sqrt(var + eps)
  Tensor gamma, beta;  // [C]; beta may be undefined in the backward pass of ops that do not compute h again
  Tensor kept = {};    // of a hidden layer: where h > 0. The op says how: h itself, a byte or a bit per element
  Tensor weight = {};  // of the product behind the hidden layer, in ops that contain one
  double rate = 0;     // of dropout, as applied: 0 in evaluation
  NormBatch batch = {};

  /// The tensors, in the order in which the tape saves them.
  std::vector<Tensor> saved() const { return {x, mean, rstd, gamma, beta, kept, weight}; }
  /// The state with these tensors.
  static NormState restored(const std::vector<Tensor>& saved, double rate, const NormBatch& batch) {
    return {saved[0], saved[1], saved[2], saved[3], saved[4], saved[5], saved[6], rate, batch};
  }
};

/// Finds the moments of x. In training these are the batch's, and the running buffers move towards the moments of
/// x + bias; in evaluation they are those of the running buffers. `kept` and `weight` stay undefined.
NormState normalise_hidden(const Tensor& x, const HiddenLayer& layer);
/// The inputs of an op that contains a hidden layer, for record(): x, gamma, beta, `others`, and in evaluation the
/// running buffers, which have no gradient.
std::vector<Tensor> hidden_layer_inputs(const Tensor& x, const HiddenLayer& layer, std::vector<Tensor> others);
/// The attributes of an op that contains a hidden layer: training, momentum, eps, and the dropout masks if there are
/// any.
Attributes hidden_layer_attributes(const HiddenLayer& layer);

/// Sums over rows of batch normalisation: dgamma = sum dy h and dbeta = sum dy, [C] each.
struct NormSums {
  Tensor dgamma, dbeta;
  static NormSums like(const Tensor& gamma) { return {Tensor::empty_like(gamma), Tensor::empty_like(gamma)}; }
};
/// Returns the sums over the whole batch, on which dx depends. `mine` holds the sums over this member's rows. Returns
/// `mine` itself where this process is alone or the moments are constants. Every way to compute a hidden layer sums 2 C
/// numbers in f64, dgamma before dbeta, so that the members may take different ways.
NormSums sums_of_batch(const NormBatch& batch, const NormSums& mine);

/// Turns the mean and the sum of squared deviations from the mean, per column, of this member's `rows` into those of
/// the whole batch (Chan, Golub, LeVeque 1979): with n_r rows in member r, mean = sum n_r mean_r / sum n_r and M2 = sum
/// M2_r + n_r (mean_r - mean)^2. Returns the number of rows of the batch.
int64_t moments_of_group(Group& group, int64_t rows, std::span<double> mean, std::span<double> squares);
/// Computes mean, biased variance and 1 / sqrt(var + eps) per column of the batch of which x [B, C] is this member's
/// rows. Returns the number of rows of the batch.
KDEF_KERNEL(int64_t, column_moments, Group& group, const Tensor& x, double eps, const Tensor& mean, const Tensor& var,
            const Tensor& rstd)
/// running += momentum (factor observed + shift - running). `observed` and `shift` hold the numbers of all buffers one
/// after the other; shift may be undefined.
KDEF_KERNEL(void, move_running, const std::vector<Tensor>& running, const Tensor& observed, const Tensor& shift,
            double momentum, double factor)
/// rstd = 1 / sqrt(var + eps)
KDEF_KERNEL(void, reciprocal_sqrt, const Tensor& var, double eps, const Tensor& rstd)
/// y = gamma (x - mean) rstd + beta per column.
KDEF_KERNEL(void, column_normalise, const NormState& s, const Tensor& y)
/// dgamma = sum dy h, dbeta = sum dy, per column, h = (x - mean) rstd.
KDEF_KERNEL(void, column_norm_sums, const Tensor& dy, const NormState& s, const NormSums& sums)
/// dx = gamma rstd (dy - dbeta / R - h dgamma / R) for the sums of a batch of R rows; with constant moments
/// dx = gamma rstd dy.
KDEF_KERNEL(void, column_norm_dx, const Tensor& dy, const NormState& s, const NormSums& sums, const Tensor& dx)
/// y = dropout(max(gamma (x - mean) rstd + beta, 0)). Each key is that of one block of columns. On CUDA y may be bf16.
KDEF_KERNEL(void, column_norm_relu_dropout, const NormState& s, const std::vector<DropoutKey>& keys, const Tensor& y)
/// column_norm_sums of d = dy [y > 0] / (1 - p), where y is s.kept.
KDEF_KERNEL(void, column_norm_relu_dropout_sums, const Tensor& dy, const NormState& s, const NormSums& sums)
/// column_norm_dx of the same d. dbias (may be undefined) is the sum of dx over the rows. On CUDA dx may be bf16; it is
/// rounded after it is added to dbias.
KDEF_KERNEL(void, column_norm_relu_dropout_dx, const Tensor& dy, const NormState& s, const NormSums& sums,
            const Tensor& dx, const Tensor& dbias)
KDEF_KERNEL(void, layer_norm_forward, const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& y,
            const Tensor& mean, const Tensor& rstd, double eps)
KDEF_KERNEL(void, layer_norm_backward, const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean,
            const Tensor& rstd, const Tensor& dx)
/// dgamma = sum over rows of dy (x - mean) rstd with per-row moments; dbeta = sum of dy.
KDEF_KERNEL(void, layer_norm_sums, const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd,
            const Tensor& dgamma, const Tensor& dbeta)

}  // namespace kdef::ops
