// Quality of predictions, in double precision.
#pragma once

#include <cmath>
#include <span>

#include "core/base/hd.h"

namespace kdef {

/// One row's log loss, for every device: p clipped to [1e-7, 1 - 1e-7].
struct LogLoss {
  static KDEF_HD double f(double p, double y) {
    constexpr double kClip = 1e-7;
    const double q = p < kClip ? kClip : p > 1 - kClip ? 1 - kClip : p;
    return -(y * std::log(q) + (1 - y) * std::log1p(-q));
  }
};

/// Area under the ROC curve: the probability that a positive row scores above a negative one, ties counted half
/// (Mann-Whitney, by midranks). Exact, O(n log n). NaN where it is undefined: rows of one class only, or none.
/// Throws Error when a score is NaN or the lengths differ.
double auc(std::span<const double> scores, std::span<const float> labels);

/// Mean of LogLoss: of -(y ln p + (1 - y) ln(1 - p)) with p clipped. NaN without rows.
double log_loss(std::span<const double> probabilities, std::span<const float> labels);

}  // namespace kdef
