// Metrics of scores that are on a CUDA device, without weights. All columns are queued before the host waits.
#pragma once

#include <vector>

#include "core/tensor/tensor.h"

namespace kdef::cuda {

/// auc() of each column of `scores` f32 [n, columns] with labels f32 [n, 1], equal to the last bit: both count pairs in
/// whole numbers. NaN without rows, and where a score is NaN.
std::vector<double> auc_of_columns(const Tensor& scores, const Tensor& labels);

/// log_loss() of each column; it differs by the order of the sum only. NaN where a probability is.
std::vector<double> log_loss_of_columns(const Tensor& probabilities, const Tensor& labels);

/// normalized_entropy() of each column; it differs by the order of the sums only. NaN where a probability is, and where
/// all labels are equal.
std::vector<double> normalized_entropy_of_columns(const Tensor& probabilities, const Tensor& labels);

}  // namespace kdef::cuda
