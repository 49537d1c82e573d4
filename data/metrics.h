// Quality of predictions, in double precision.
#pragma once

#include <span>

namespace kdef::data {

/// Area under the ROC curve: the probability that a positive row scores above a negative one, ties counted half
/// (Mann-Whitney, by midranks). Exact, O(n log n). NaN where it is undefined: rows of one class only, or none.
/// Throws Error when a score is NaN or the lengths differ.
double auc(std::span<const double> scores, std::span<const float> labels);

/// Mean of -(y ln p + (1 - y) ln(1 - p)) with p clipped to [1e-7, 1 - 1e-7]. NaN without rows.
double log_loss(std::span<const double> probabilities, std::span<const float> labels);

}  // namespace kdef::data
