// Losses of logits that are trained side by side: those of a network's branches (FinalNet, QNN_alpha and DCNv3 in
// nn/networks), and those of the students of an ensemble (kdef/method).
#pragma once

#include <functional>

#include "core/tensor/tape.h"

namespace kdef::nn {

/// What a task makes of logits z [B, 1]: its prediction, and its loss for labels or predictions [B, 1].
struct TaskFunctions {
  std::function<Tensor(const Tensor& z)> predict;
  std::function<Tensor(const Tensor& z, const Tensor& y)> loss;
};

/// The logit of the mean probability, ln(p / (1 - p)) with p = mean over k of sigmoid(z_k): z [B, K] to [B, 1]. K = 1:
/// z itself.
Tensor logit_of_mean_probability(const Tensor& z);

/// Logits z [B, K] that learn from predictions t [B, 1]: sum over k of loss(z_k, sg t), sg a stop-gradient. With t the
/// prediction of their mean: FINAL (Zhu et al., SIGIR 2023, equation 10), QNN (Li et al., arXiv 2505.17999).
Tensor loss_of_taught(const Tensor& z, const Tensor& t, const TaskFunctions& task);

/// Logits z [B, K] against their mean: sum over k of max(L_k - L, 0) L_k, L_k = loss(z_k, y), for labels y [B, 1] and
/// the loss L of the mean. The weights max(L_k - L, 0) carry gradient. Tri-BCE (Li et al., arXiv 2407.13349) adds it to
/// L.
Tensor loss_of_worse(const Tensor& z, const Tensor& of_mean, const Tensor& y, const TaskFunctions& task);

}  // namespace kdef::nn
