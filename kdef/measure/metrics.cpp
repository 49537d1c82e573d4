#include "kdef/measure/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "core/base/error.h"

namespace kdef {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

void check_rows(const char* metric, std::span<const double> scores, std::span<const float> labels,
                std::span<const float> weights) {
  KDEF_CHECK(scores.size() == labels.size(), metric, ": ", scores.size(), " scores but ", labels.size(), " labels");
  KDEF_CHECK(weights.empty() || weights.size() == labels.size(), metric, ": ", labels.size(), " rows but ",
             weights.size(), " weights");
}

// A row of two classes. Count is uint64_t without weights, so that sums are exact, and double with weights.
template <class Count>
struct Ranked {
  double score;
  bool positive;
  Count weight;
};

// Rows by increasing score.
template <class Count>
std::vector<Ranked<Count>> ranked(const char* metric, std::span<const double> scores, std::span<const float> labels,
                                  std::span<const float> weights) {
  std::vector<Ranked<Count>> rows(scores.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    KDEF_CHECK(!std::isnan(scores[i]), metric, ": score ", i, " is not a number");
    rows[i] = {scores[i], labels[i] > 0.5f, weights.empty() ? Count(1) : static_cast<Count>(weights[i])};
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.score < b.score; });
  return rows;
}

template <class Count>
double auc_of(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights) {
  const std::vector<Ranked<Count>> rows = ranked<Count>("auc", scores, labels, weights);
  // Twice the weight of (negative, positive) pairs in order, ties once. Whole numbers are exact below 2^63, that is
  // for 2e9 rows.
  Count twice = 0, negatives = 0, positives = 0;
  for (size_t i = 0; i < rows.size();) {
    Count tied_negatives = 0, tied_positives = 0;
    const double score = rows[i].score;
    for (; i < rows.size() && rows[i].score == score; ++i) {
      (rows[i].positive ? tied_positives : tied_negatives) += rows[i].weight;
    }
    twice += tied_positives * (2 * negatives + tied_negatives);
    negatives += tied_negatives;
    positives += tied_positives;
  }
  if (negatives == 0 || positives == 0) return kUndefined;
  return static_cast<double>(twice) / 2.0 / (static_cast<double>(negatives) * static_cast<double>(positives));
}

template <class Count>
double average_precision_of(std::span<const double> scores, std::span<const float> labels,
                            std::span<const float> weights) {
  const std::vector<Ranked<Count>> rows = ranked<Count>("average_precision", scores, labels, weights);
  Count called = 0, positives = 0;  // of the rows down to this score
  double sum = 0;
  for (size_t i = rows.size(); i > 0;) {
    Count tied_positives = 0;
    const double score = rows[i - 1].score;
    for (; i > 0 && rows[i - 1].score == score; --i) {
      called += rows[i - 1].weight;
      if (rows[i - 1].positive) tied_positives += rows[i - 1].weight;
    }
    positives += tied_positives;
    if (tied_positives > 0) {
      sum += static_cast<double>(tied_positives) * (static_cast<double>(positives) / static_cast<double>(called));
    }
  }
  return positives > 0 ? sum / static_cast<double>(positives) : kUndefined;
}

// sum of w loss(score, label) / sum of w
template <class Loss>
double mean_of(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights,
               Loss loss) {
  double sum = 0, total = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    const double w = weights.empty() ? 1.0 : static_cast<double>(weights[i]);
    sum += w * loss(scores[i], static_cast<double>(labels[i]));
    total += w;
  }
  return total > 0 ? sum / total : kUndefined;
}

// The rows of one group, without those of weight 0.
struct GroupRows {
  std::vector<double> scores;
  std::vector<float> labels, weights;  // weights: none where no row has one
  double total = 0;                    // of the weights

  void clear() {
    scores.clear();
    labels.clear();
    weights.clear();
    total = 0;
  }
  // w (2^y - 1) of a click y.
  double gain(size_t row) const {
    if (labels[row] <= 0.5f) return 0;
    return weights.empty() ? 1.0 : static_cast<double>(weights[row]);
  }
};

struct GroupValue {
  double value, weight;  // a NaN counts in neither sum
};

// The rows by ascending number of their group, those of one group in their own order. Numbers that are as dense as
// those of a data set are counted, which takes linear time.
std::vector<size_t> rows_by_group(size_t rows, std::span<const int64_t> groups) {
  std::vector<size_t> order(rows);
  std::iota(order.begin(), order.end(), size_t{0});
  if (groups.empty()) return order;
  const auto [least, most] = std::minmax_element(groups.begin(), groups.end());
  const int64_t lowest = *least;
  const auto place = [lowest](int64_t group) { return static_cast<uint64_t>(group) - static_cast<uint64_t>(lowest); };
  constexpr uint64_t kSparse = 4;  // numbers for each row
  if (place(*most) / kSparse >= rows) {
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return groups[a] < groups[b]; });
    return order;
  }
  std::vector<size_t> next(place(*most) + 2);  // of a group: where its next row goes
  for (const int64_t group : groups) ++next[place(group) + 1];
  std::partial_sum(next.begin(), next.end(), next.begin());
  for (size_t row = 0; row < rows; ++row) order[next[place(groups[row])]++] = row;
  return order;
}

// sum of weight value / sum of weight, over the groups that have rows of a weight above 0.
template <class Of>
double mean_over_groups(const char* metric, std::span<const double> scores, std::span<const float> labels,
                        std::span<const float> weights, std::span<const int64_t> groups, Of of) {
  check_rows(metric, scores, labels, weights);
  KDEF_CHECK(groups.empty() || groups.size() == labels.size(), metric, ": ", labels.size(), " rows but ", groups.size(),
             " groups");
  for (size_t i = 0; i < scores.size(); ++i) {
    KDEF_CHECK(!std::isnan(scores[i]), metric, ": score ", i, " is not a number");
  }
  const auto group = [&](size_t row) { return groups.empty() ? 0 : groups[row]; };
  const std::vector<size_t> order = rows_by_group(scores.size(), groups);
  double sum = 0, total = 0;
  GroupRows rows;
  for (size_t at = 0; at < order.size();) {
    rows.clear();
    for (const int64_t number = group(order[at]); at < order.size() && group(order[at]) == number; ++at) {
      const size_t row = order[at];
      const float weight = weights.empty() ? 1 : weights[row];
      if (weight == 0) continue;
      rows.scores.push_back(scores[row]);
      rows.labels.push_back(labels[row]);
      if (!weights.empty()) rows.weights.push_back(weight);
      rows.total += static_cast<double>(weight);
    }
    if (rows.scores.empty()) continue;
    const GroupValue v = of(rows);
    if (std::isnan(v.value)) continue;
    sum += v.value * v.weight;
    total += v.weight;
  }
  return total > 0 ? sum / total : kUndefined;
}

constexpr double kNoZero = 1e-12;  // added to divisors, as FuxiCTR does

// The sum of gain and discount(rank) over the rows of a group, by decreasing score. Rows with equal scores have the
// mean discount of their ranks.
template <class Discount>
double discounted_gain(const GroupRows& rows, Discount discount) {
  std::vector<size_t> order(rows.scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return rows.scores[a] > rows.scores[b]; });
  double sum = 0;
  for (size_t at = 0; at < order.size();) {
    const double score = rows.scores[order[at]];
    const size_t first = at;
    double gains = 0, discounts = 0;
    for (; at < order.size() && rows.scores[order[at]] == score; ++at) {
      gains += rows.gain(order[at]);
      discounts += discount(at + 1);
    }
    sum += gains * discounts / static_cast<double>(at - first);
  }
  return sum;
}

}  // namespace

double auc(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights) {
  check_rows("auc", scores, labels, weights);
  return weights.empty() ? auc_of<uint64_t>(scores, labels, weights) : auc_of<double>(scores, labels, weights);
}

double group_auc(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights,
                 std::span<const int64_t> groups) {
  return mean_over_groups("group_auc", scores, labels, weights, groups, [](const GroupRows& g) {
    return GroupValue{auc(g.scores, g.labels, g.weights), g.total};
  });
}

double mean_group_auc(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights,
                      std::span<const int64_t> groups) {
  return mean_over_groups("mean_group_auc", scores, labels, weights, groups, [](const GroupRows& g) {
    return GroupValue{auc(g.scores, g.labels, g.weights), 1};
  });
}

double mean_reciprocal_rank(std::span<const double> scores, std::span<const float> labels,
                            std::span<const float> weights, std::span<const int64_t> groups) {
  return mean_over_groups("mean_reciprocal_rank", scores, labels, weights, groups, [](const GroupRows& g) {
    double gain = 0;
    const double sum = discounted_gain(g, [](size_t rank) { return 1 / static_cast<double>(rank); });
    for (size_t i = 0; i < g.scores.size(); ++i) gain += g.gain(i);
    return GroupValue{sum / (gain + kNoZero), 1};
  });
}

double ndcg(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights,
            std::span<const int64_t> groups, int64_t k) {
  KDEF_CHECK(k >= 1, "ndcg: k is ", k, "; expected at least 1");
  const auto discount = [k](size_t rank) {
    return static_cast<int64_t>(rank) <= k ? 1 / std::log2(static_cast<double>(rank) + 1) : 0.0;
  };
  return mean_over_groups("ndcg", scores, labels, weights, groups, [&](const GroupRows& g) {
    std::vector<double> gains;
    for (size_t i = 0; i < g.scores.size(); ++i) {
      if (g.gain(i) > 0) gains.push_back(g.gain(i));
    }
    std::sort(gains.begin(), gains.end(), std::greater<>());
    double ideal = 0;
    for (size_t i = 0; i < gains.size(); ++i) ideal += gains[i] * discount(i + 1);
    return GroupValue{discounted_gain(g, discount) / (ideal + kNoZero), 1};
  });
}

double average_precision(std::span<const double> scores, std::span<const float> labels,
                         std::span<const float> weights) {
  check_rows("average_precision", scores, labels, weights);
  return weights.empty() ? average_precision_of<uint64_t>(scores, labels, weights)
                         : average_precision_of<double>(scores, labels, weights);
}

double log_loss(std::span<const double> probabilities, std::span<const float> labels, std::span<const float> weights) {
  check_rows("log_loss", probabilities, labels, weights);
  return mean_of(probabilities, labels, weights, LogLoss::f);
}

double normalized_entropy(std::span<const double> probabilities, std::span<const float> labels,
                          std::span<const float> weights) {
  check_rows("normalized_entropy", probabilities, labels, weights);
  const double rate = mean_of(probabilities, labels, weights, [](double, double y) { return y; });
  return log_loss(probabilities, labels, weights) / label_entropy(rate);
}

double predicted_over_actual(std::span<const double> probabilities, std::span<const float> labels,
                             std::span<const float> weights) {
  check_rows("predicted_over_actual", probabilities, labels, weights);
  const double actual = mean_of(probabilities, labels, weights, [](double, double y) { return y; });
  return actual > 0 ? mean_of(probabilities, labels, weights, [](double p, double) { return p; }) / actual : kUndefined;
}

std::vector<CalibrationBin> calibration_bins(std::span<const double> probabilities, std::span<const float> labels,
                                             std::span<const float> weights) {
  check_rows("calibration_bins", probabilities, labels, weights);
  const std::vector<Ranked<double>> rows = ranked<double>("calibration_bins", probabilities, labels, weights);
  double total = 0, below = 0;
  for (const Ranked<double>& row : rows) total += row.weight;
  std::vector<CalibrationBin> bins(kCalibrationBins);  // sums of weights, w p and w y until the end
  for (size_t i = 0; i < rows.size();) {
    double tied = 0, positives = 0;
    const double score = rows[i].score;
    for (; i < rows.size() && rows[i].score == score; ++i) {
      tied += rows[i].weight;
      if (rows[i].positive) positives += rows[i].weight;
    }
    if (tied == 0) continue;
    const double place = static_cast<double>(kCalibrationBins) * (below + tied / 2) / total;
    CalibrationBin& bin = bins[std::min(static_cast<size_t>(place), kCalibrationBins - 1)];
    bin.share += tied;
    bin.predicted += tied * score;
    bin.observed += positives;
    below += tied;
  }
  std::erase_if(bins, [](const CalibrationBin& bin) { return bin.share == 0; });
  for (CalibrationBin& bin : bins) {
    bin.predicted /= bin.share;
    bin.observed /= bin.share;
    bin.share /= total;
  }
  return bins;
}

double calibration_error(std::span<const double> probabilities, std::span<const float> labels,
                         std::span<const float> weights) {
  const std::vector<CalibrationBin> bins = calibration_bins(probabilities, labels, weights);
  double error = 0;
  for (const CalibrationBin& bin : bins) error += bin.share * std::abs(bin.predicted - bin.observed);
  return bins.empty() ? kUndefined : error;
}

double brier_score(std::span<const double> probabilities, std::span<const float> labels,
                   std::span<const float> weights) {
  check_rows("brier_score", probabilities, labels, weights);
  return mean_of(probabilities, labels, weights, [](double p, double y) { return (p - y) * (p - y); });
}

double rmse(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights) {
  check_rows("rmse", scores, labels, weights);
  return std::sqrt(mean_of(scores, labels, weights, [](double s, double y) { return (s - y) * (s - y); }));
}

double mae(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights) {
  check_rows("mae", scores, labels, weights);
  return mean_of(scores, labels, weights, [](double s, double y) { return std::abs(s - y); });
}

}  // namespace kdef
