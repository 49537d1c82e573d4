#include "kdef/measure/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
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

}  // namespace

double auc(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights) {
  check_rows("auc", scores, labels, weights);
  return weights.empty() ? auc_of<uint64_t>(scores, labels, weights) : auc_of<double>(scores, labels, weights);
}

double group_auc(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights,
                 std::span<const int64_t> groups) {
  check_rows("group_auc", scores, labels, weights);
  KDEF_CHECK(groups.empty() || groups.size() == labels.size(), "group_auc: ", labels.size(), " rows but ",
             groups.size(), " groups");
  if (groups.empty()) return auc(scores, labels, weights);
  std::vector<size_t> order(groups.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return groups[a] < groups[b]; });
  double sum = 0, total = 0;
  std::vector<double> s;
  std::vector<float> y, w;
  for (size_t at = 0; at < order.size();) {
    s.clear();
    y.clear();
    w.clear();
    double rows = 0;
    for (const int64_t group = groups[order[at]]; at < order.size() && groups[order[at]] == group; ++at) {
      const size_t row = order[at];
      s.push_back(scores[row]);
      y.push_back(labels[row]);
      if (!weights.empty()) w.push_back(weights[row]);
      rows += weights.empty() ? 1.0 : static_cast<double>(weights[row]);
    }
    const double value = auc(s, y, w);
    if (std::isnan(value)) continue;
    sum += value * rows;
    total += rows;
  }
  return total > 0 ? sum / total : kUndefined;
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

double rmse(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights) {
  check_rows("rmse", scores, labels, weights);
  return std::sqrt(mean_of(scores, labels, weights, [](double s, double y) { return (s - y) * (s - y); }));
}

double mae(std::span<const double> scores, std::span<const float> labels, std::span<const float> weights) {
  check_rows("mae", scores, labels, weights);
  return mean_of(scores, labels, weights, [](double s, double y) { return std::abs(s - y); });
}

}  // namespace kdef
