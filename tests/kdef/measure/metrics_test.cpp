#include "kdef/measure/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/base/error.h"
#include "core/base/random.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using Scores = std::vector<double>;
using Labels = std::vector<float>;

TEST(Auc, SmallCases) {
  EXPECT_EQ(auc(Scores{0.1, 0.4, 0.35, 0.8}, Labels{0, 0, 1, 1}), 0.75);
  EXPECT_EQ(auc(Scores{0.1, 0.9}, Labels{0, 1}), 1.0);
  EXPECT_EQ(auc(Scores{0.9, 0.1}, Labels{0, 1}), 0.0);
  EXPECT_EQ(auc(Scores{0.5, 0.5, 0.5}, Labels{0, 1, 1}), 0.5);
  EXPECT_EQ(auc(Scores{0.0, -0.0}, Labels{0, 1}), 0.5);
}

TEST(Auc, EqualsTheCountOfPairs) {
  Random random(11);
  for (int round = 0; round < 50; ++round) {
    const size_t n = 2 + random.below(200);
    Scores scores(n);
    Labels labels(n);
    for (size_t i = 0; i < n; ++i) {
      scores[i] = static_cast<double>(random.below(20)) / 20;  // many ties
      labels[i] = static_cast<float>(i < 2 ? i : random.below(2));
    }
    double won = 0, pairs = 0;
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        if (labels[i] != 1 || labels[j] != 0) continue;
        ++pairs;
        won += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
      }
    }
    EXPECT_NEAR(auc(scores, labels), won / pairs, 1e-15);
  }
}

// Two negatives of weight 2 and 1 under and beside a positive of weight 3: (2 * 3 + 1 * 3 / 2) / (3 * 3).
TEST(Auc, CountsPairsByTheirWeights) {
  EXPECT_EQ(auc(Scores{0.1, 0.5, 0.5}, Labels{0, 0, 1}, Labels{2, 1, 3}), 7.5 / 9);
}

TEST(LogLoss, IsTheWeightedMean) {
  EXPECT_NEAR(log_loss(Scores{0.5, 0.25}, Labels{1, 0}, Labels{1, 3}), (std::log(2.0) - 3 * std::log(0.75)) / 4, 1e-15);
}

TEST(Auc, OneClassIsUndefined) {
  EXPECT_TRUE(std::isnan(auc(Scores{0.1, 0.2}, Labels{1, 1})));
  EXPECT_TRUE(std::isnan(auc(Scores{0.1, 0.2}, Labels{0, 0})));
  EXPECT_TRUE(std::isnan(auc(Scores{}, Labels{})));
}

TEST(Auc, RefusesWhatHasNoOrder) {
  EXPECT_THROW(auc(Scores{std::numeric_limits<double>::quiet_NaN(), 0}, Labels{0, 1}), Error);
  EXPECT_THROW(auc(Scores{1}, Labels{0, 1}), Error);
}

TEST(LogLoss, ClippedAt1e7) {
  EXPECT_NEAR(log_loss(Scores{0.9, 0.2}, Labels{1, 0}), -(std::log(0.9) + std::log(0.8)) / 2, 1e-15);
  EXPECT_NEAR(log_loss(Scores{0.0}, Labels{1}), -std::log(1e-7), 1e-12);
  EXPECT_NEAR(log_loss(Scores{1.0}, Labels{0}), -std::log(1e-7), 1e-8);
  EXPECT_TRUE(std::isnan(log_loss(Scores{}, Labels{})));
}

// Rows of a linear congruential generator, and what average_precision_score and roc_auc_score of scikit-learn 1.9.1
// give for them.
struct Recorded {
  size_t rows;
  uint64_t values, seed;
  bool weighted;
  double average_precision, auc;
};
constexpr Recorded kRecorded[] = {
    {20, 5, 1, false, 0.38370098039215689, 0.421875},
    {200, 50, 2, false, 0.3181350617154699, 0.48405698778833117},
    {1000, 7, 3, false, 0.33915067246165698, 0.50449566121629374},
    {1000, 30000, 4, false, 0.32078046629368123, 0.49340791957026719},
    {200, 10, 5, true, 0.25234083225920445, 0.42531712473572936},
    {1000, 100, 6, true, 0.33627884072298692, 0.50713747454175151},
};

TEST(AveragePrecision, EqualsScikitLearns) {
  for (const Recorded& r : kRecorded) {
    uint64_t x = r.seed;
    const auto next = [&] { return (x = (x * 1103515245 + 12345) % 2147483648) >> 16; };
    Scores scores;
    Labels labels, weights;
    for (size_t i = 0; i < r.rows; ++i) {
      scores.push_back(static_cast<double>(next() % r.values) / static_cast<double>(r.values));
      labels.push_back(next() % 3 == 0);
      if (r.weighted) weights.push_back(static_cast<float>(next() % 4) * 0.5f);
    }
    EXPECT_NEAR(average_precision(scores, labels, weights), r.average_precision, 1e-14) << r.seed;
    EXPECT_NEAR(auc(scores, labels, weights), r.auc, 1e-14) << r.seed;
  }
}

TEST(Errors, AreThoseOfTheirFormulas) {
  EXPECT_NEAR(rmse(Scores{1, 5}, Labels{4, 1}), std::sqrt(12.5), 1e-15);
  EXPECT_EQ(mae(Scores{1, 5}, Labels{4, 1}), 3.5);
  EXPECT_NEAR(rmse(Scores{1, 5}, Labels{4, 1}, Labels{2, 1}), std::sqrt(34.0 / 3), 1e-15);
  EXPECT_NEAR(mae(Scores{1, 5}, Labels{4, 1}, Labels{2, 1}), 10.0 / 3, 1e-15);
}

TEST(AveragePrecision, SmallCases) {
  EXPECT_NEAR(average_precision(Scores{0.1, 0.4, 0.35, 0.8}, Labels{0, 0, 1, 1}), 5.0 / 6, 1e-15);
  EXPECT_EQ(average_precision(Scores{0.5, 0.5}, Labels{1, 0}), 0.5);
  EXPECT_EQ(average_precision(Scores{0.5, 0.1}, Labels{1, 1}), 1);
  EXPECT_TRUE(std::isnan(average_precision(Scores{0.5, 0.1}, Labels{0, 0})));
}

TEST(Auc, OfTheTrueLogitsOfSyntheticData) {
  test::TemporaryDirectory dir;
  data::SynthConfig config;
  config.rows = 100003;
  config.out_dir = dir / "a";
  const data::SynthResult result = data::synthesize(config);
  EXPECT_EQ(static_cast<int64_t>(result.test_labels.size()), result.test_rows);
  const double best = auc(result.test_logits, result.test_labels);
  EXPECT_GT(best, 0.84);
  EXPECT_LT(best, 0.88);
}

// Groups 3, 5 and 8: AUC 3/4 of 4 rows, 1 of 2 rows; the third has one class and counts in neither sum.
TEST(GroupAuc, IsTheMeanOverGroupsOfBothClassesByTheirRows) {
  const std::vector<double> scores = {0.9, 0.2, 0.6, 0.4, 0.7, 0.1, 0.5, 0.3};
  const std::vector<float> labels = {1, 0, 1, 1, 0, 0, 1, 0};
  const std::vector<int64_t> groups = {3, 3, 5, 3, 3, 5, 8, 5};
  // Group 3: positives .9, .4, negatives .2, .7: 3 of 4 pairs in order. Group 5: .6 before .1 and .3.
  EXPECT_DOUBLE_EQ(group_auc(scores, labels, {}, groups), (4 * 0.75 + 3 * 1.0) / 7);
  // Rows of weight 2 count as two rows, within their group and in its weight.
  const std::vector<float> weights = {2, 1, 1, 1, 1, 1, 1, 0};
  const double third = (2 + 2 + 1 + 0) / 6.0;  // pairs of .9 (twice) and .4 with .2 and .7
  EXPECT_DOUBLE_EQ(group_auc(scores, labels, weights, groups), (5 * third + 2 * 1.0) / 7);
  EXPECT_DOUBLE_EQ(group_auc(scores, labels), auc(scores, labels));
  EXPECT_TRUE(
      std::isnan(group_auc(std::vector<double>{0.1, 0.2}, std::vector<float>{1, 0}, {}, std::vector<int64_t>{1, 2})));
  EXPECT_THROW(group_auc(scores, labels, {}, std::vector<int64_t>{1}), Error);
}

}  // namespace
}  // namespace kdef
