// The functions of the table of metrics (metric.h), in double precision.
//
// Each takes one score and one label per row, and either one weight >= 0 per row or no weights at all. A weight of 2
// counts as the same row twice; without weights every row counts once.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "core/base/hd.h"

namespace kdef {

/// The log loss of one row, for every device: p is clipped to [1e-7, 1 - 1e-7].
struct LogLoss {
  static KDEF_HD double f(double p, double y) {
    constexpr double kClip = 1e-7;
    const double q = p < kClip ? kClip : p > 1 - kClip ? 1 - kClip : p;
    return -(y * std::log(q) + (1 - y) * std::log1p(-q));
  }
};

/// Area under the ROC curve: the probability that a positive row scores above a negative one, ties counted half
/// (Mann-Whitney, by midranks). With weights, sum of w_p w_n over the pairs in order, and half of it over ties, divided
/// by sum w_p sum w_n. Exact without weights. O(n log n). NaN where it is undefined: without positive or without
/// negative rows. Throws Error where a score is NaN or the lengths differ.
double auc(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights = {});

/// The mean of auc() over the groups, weighted by their rows: sum n_g AUC_g / sum n_g, where n_g is the number of rows
/// of group g, or the sum of their weights. A group of one class counts in neither sum (FuxiCTR's gAUC). `groups` has
/// the number of each row's group; without groups all rows are one. NaN where no group has both classes. Throws Error
/// where a score is NaN or the lengths differ.
double group_auc(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights = {},
                 std::span<const int64_t> groups = {});

/// Area under the precision-recall curve by steps, the average precision: sum over the distinct scores, from the
/// highest down, of (R_n - R_{n-1}) P_n. P_n and R_n are precision and recall of calling every row positive whose score
/// is at least the n-th, so that rows with equal scores enter together (as average_precision_score of scikit-learn).
/// O(n log n). NaN without positive rows. Throws Error where a score is NaN or the lengths differ.
double average_precision(std::span<const double> scores, std::span<const float> labels,
                         std::span<const float> weights = {});

/// Mean of LogLoss: of -(y ln p + (1 - y) ln(1 - p)) with p clipped; with weights sum(w l) / sum(w). NaN without rows.
double log_loss(std::span<const double> probabilities, std::span<const float> labels,
                std::span<const float> weights = {});

/// Root of the mean squared error: sqrt(sum(w (score - label)^2) / sum(w)). NaN without rows.
double rmse(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights = {});

/// Mean absolute error: sum(w |score - label|) / sum(w). NaN without rows.
double mae(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights = {});

}  // namespace kdef
