// AUC and log loss of probabilities where they are: on a CUDA device.
#pragma once

#include <vector>

#include "core/tensor/tensor.h"
#include "kdef/measure/evaluation.h"

namespace kdef::cuda {

/// Of each column of `probabilities` f32 [n, columns], with labels f32 [n, 1]. The AUC is auc's to the last bit:
/// both count pairs in whole numbers. The log loss is log_loss's but for the order of the sum. NaN where a
/// probability is.
std::vector<Quality> measure_columns(const Tensor& probabilities, const Tensor& labels);

}  // namespace kdef::cuda
