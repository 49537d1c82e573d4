#include "kdef/measure/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace kdef {

double auc(std::span<const double> scores, std::span<const float> labels) {
  KDEF_CHECK(scores.size() == labels.size(), "auc: ", scores.size(), " scores but ", labels.size(), " labels");
  std::vector<std::pair<double, bool>> sorted(scores.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    KDEF_CHECK(!std::isnan(scores[i]), "auc: score ", i, " is not a number");
    sorted[i] = {scores[i], labels[i] > 0.5f};
  }
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  // Twice the number of (negative, positive) pairs in order, ties once. Integers: exact below 2^63, that is 2e9 rows.
  uint64_t twice = 0, negatives = 0, positives = 0;
  for (size_t i = 0; i < sorted.size();) {
    uint64_t tied_negatives = 0, tied_positives = 0;
    const double score = sorted[i].first;
    for (; i < sorted.size() && sorted[i].first == score; ++i) ++(sorted[i].second ? tied_positives : tied_negatives);
    twice += tied_positives * (2 * negatives + tied_negatives);
    negatives += tied_negatives;
    positives += tied_positives;
  }
  if (negatives == 0 || positives == 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(twice) / 2.0 / (static_cast<double>(negatives) * static_cast<double>(positives));
}

double log_loss(std::span<const double> probabilities, std::span<const float> labels) {
  KDEF_CHECK(probabilities.size() == labels.size(), "log_loss: ", probabilities.size(), " probabilities but ",
             labels.size(), " labels");
  if (probabilities.empty()) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    sum += LogLoss::f(probabilities[i], static_cast<double>(labels[i]));
  }
  return sum / static_cast<double>(probabilities.size());
}

}  // namespace kdef
