// The functions of the table of metrics (metric.h), in double precision.
//
// Each takes one score and one label per row, and either one weight >= 0 per row or no weights at all. A weight of 2
// counts as the same row twice, except in MRR and NDCG, whose ranks count rows; without weights every row counts once.
// A metric by groups takes the number of each row's group; without groups all rows are one group.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

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
/// of group g, or the sum of their weights. A group of one class counts in neither sum (FuxiCTR's gAUC). NaN where no
/// group has both classes. Throws Error where a score is NaN or the lengths differ.
double group_auc(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights = {},
                 std::span<const int64_t> groups = {});

/// The same mean with every group of both classes counted once (FuxiCTR's avgAUC).
double mean_group_auc(std::span<const double> scores, std::span<const float> labels,
                      std::span<const float> weights = {}, std::span<const int64_t> groups = {});

/// FuxiCTR's MRR: the mean over the groups of sum_i(w_i y_i / r_i) / (sum_i(w_i y_i) + 1e-12), over all positive rows
/// of a group. r_i is the rank of row i by decreasing score, from 1. Ranks count rows: a row of weight 0 is left out,
/// any other one takes one rank. Rows with equal scores share the mean of 1 / r over their ranks, so that the order of
/// rows does not matter (FuxiCTR's order of such rows is undefined). Every group with a weight above 0 counts once; one
/// without positive rows counts as 0. NaN without such a group. Throws Error where a score is NaN or the lengths
/// differ.
double mean_reciprocal_rank(std::span<const double> scores, std::span<const float> labels,
                            std::span<const float> weights = {}, std::span<const int64_t> groups = {});

/// FuxiCTR's NDCG(k): the mean over the groups of DCG / (DCG of the ideal order + 1e-12), where
/// DCG = sum over the k best ranks r of w_i (2^y_i - 1) / log2(r + 1), and the ideal order is by decreasing
/// w_i (2^y_i - 1). Ranks, weights, ties and groups are those of mean_reciprocal_rank(): rows with equal scores share
/// the mean of their ranks' discounts (McSherry, Najork, ECIR 2008), as in ndcg_score of scikit-learn. Labels are
/// clicks. Throws Error where k < 1, a score is NaN or the lengths differ.
double ndcg(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights,
            std::span<const int64_t> groups, int64_t k);

/// Area under the precision-recall curve by steps, the average precision: sum over the distinct scores, from the
/// highest down, of (R_n - R_{n-1}) P_n. P_n and R_n are precision and recall of calling every row positive whose score
/// is at least the n-th, so that rows with equal scores enter together (as average_precision_score of scikit-learn).
/// O(n log n). NaN without positive rows. Throws Error where a score is NaN or the lengths differ.
double average_precision(std::span<const double> scores, std::span<const float> labels,
                         std::span<const float> weights = {});

/// Mean of LogLoss: of -(y ln p + (1 - y) ln(1 - p)) with p clipped; with weights sum(w l) / sum(w). NaN without rows.
double log_loss(std::span<const double> probabilities, std::span<const float> labels,
                std::span<const float> weights = {});

/// The entropy -(r ln r + (1 - r) ln(1 - r)) of labels with the mean r: the log loss of predicting r for every row. NaN
/// where it is 0 or r is no share.
inline double label_entropy(double r) {
  return r > 0 && r < 1 ? -(r * std::log(r) + (1 - r) * std::log1p(-r)) : std::numeric_limits<double>::quiet_NaN();
}

/// log_loss() divided by label_entropy() of these rows' mean label sum(w y) / sum(w): normalized entropy (He et al.,
/// "Practical lessons from predicting clicks on ads at Facebook", ADKDD 2014, section 3). 1 is the constant prediction
/// of the mean, and a model above 1 is worse than this constant. NaN where all labels are equal.
double normalized_entropy(std::span<const double> probabilities, std::span<const float> labels,
                          std::span<const float> weights = {});

/// Predicted over actual clicks: sum(w p) / sum(w y), the calibration of He et al. (ADKDD 2014, section 3). NaN without
/// positive rows.
double predicted_over_actual(std::span<const double> probabilities, std::span<const float> labels,
                             std::span<const float> weights = {});

/// Rows with similar predictions.
struct CalibrationBin {
  double share = 0;      // of the rows, or of the sum of their weights
  double predicted = 0;  // mean prediction
  double observed = 0;   // mean label: the click rate
  bool operator==(const CalibrationBin&) const = default;
};
inline constexpr size_t kCalibrationBins = 10;

/// The rows by increasing prediction, cut into kCalibrationBins bins of equal row count, or equal sum of weights. Rows
/// with equal predictions stay together: they all are in the bin of the middle of their weight, floor(10 (b + t / 2) /
/// s) where b is the weight of the rows below them, t theirs and s that of all rows. So a bin may be larger than
/// others, and empty ones are left out: a constant prediction gives one bin. None where the sum of weights is 0. Throws
/// Error where a prediction is NaN or the lengths differ.
std::vector<CalibrationBin> calibration_bins(std::span<const double> probabilities, std::span<const float> labels,
                                             std::span<const float> weights = {});

/// Expected calibration error: the sum over calibration_bins() of share |predicted - observed| (Naeini, Cooper,
/// Hauskrecht, AAAI 2015; with bins of equal counts as in Nixon et al., CVPR Workshops 2019). NaN without a bin.
double calibration_error(std::span<const double> probabilities, std::span<const float> labels,
                         std::span<const float> weights = {});

/// Brier's score of clicks: sum(w (p - y)^2) / sum(w) (Brier, Monthly Weather Review 78, 1950). NaN without rows.
double brier_score(std::span<const double> probabilities, std::span<const float> labels,
                   std::span<const float> weights = {});

/// Root of the mean squared error: sqrt(sum(w (score - label)^2) / sum(w)). NaN without rows.
double rmse(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights = {});

/// Mean absolute error: sum(w |score - label|) / sum(w). NaN without rows.
double mae(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights = {});

}  // namespace kdef
