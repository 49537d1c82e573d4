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

struct Generator {
  uint64_t x;
  uint64_t operator()() { return (x = (x * 1103515245 + 12345) % 2147483648) >> 16; }
};

// Rows of a linear congruential generator, and what scikit-learn 1.9.1 gives for them: average_precision_score,
// roc_auc_score, brier_score_loss, log_loss (of predictions clipped to [1e-7, 1 - 1e-7]) divided by log_loss of the
// mean label; sum(w p) / sum(w y) by NumPy; and ndcg_score for k = 1 and 5 with all rows as one query (0 where rows
// have weights, which it does not take).
struct Recorded {
  size_t rows;
  uint64_t values, seed;
  bool weighted;
  double average_precision, auc, brier, normalized_entropy, predicted_over_actual, ndcg_1, ndcg_5;
};
constexpr Recorded kRecorded[] = {
    {20, 5, 1, false, 0.38370098039215689, 0.421875, 0.37, 3.4705580783391303, 1.075, 0.3333333333333333,
     0.33333333333333326},
    {200, 50, 2, false, 0.3181350617154699, 0.48405698778833117, 0.33421599999999996, 1.5378053932776325,
     1.4757575757575758, 0, 0},
    {1000, 7, 3, false, 0.33915067246165698, 0.50449566121629374, 0.3057755102040816, 2.1326229550202482,
     1.2512755102040818, 0.3524590163934426, 0.35245901639344257},
    {1000, 30000, 4, false, 0.32078046629368123, 0.49340791957026719, 0.32815356249555555, 1.6335455234540455,
     1.366585975609756, 0, 0.13120507751234178},
    {200, 10, 5, true, 0.25234083225920445, 0.42531712473572936, 0.34686468646864693, 2.024827404470404,
     1.4909090909090907, 0, 0},
    {1000, 100, 6, true, 0.33627884072298692, 0.50713747454175151, 0.33097456140350884, 1.6012062438730184,
     1.4670999999999998, 0, 0},
};

TEST(Metrics, EqualScikitLearns) {
  for (const Recorded& r : kRecorded) {
    Generator next{r.seed};
    Scores scores;
    Labels labels, weights;
    for (size_t i = 0; i < r.rows; ++i) {
      scores.push_back(static_cast<double>(next() % r.values) / static_cast<double>(r.values));
      labels.push_back(next() % 3 == 0);
      if (r.weighted) weights.push_back(static_cast<float>(next() % 4) * 0.5f);
    }
    EXPECT_NEAR(average_precision(scores, labels, weights), r.average_precision, 1e-14) << r.seed;
    EXPECT_NEAR(auc(scores, labels, weights), r.auc, 1e-14) << r.seed;
    EXPECT_NEAR(brier_score(scores, labels, weights), r.brier, 1e-14) << r.seed;
    EXPECT_NEAR(normalized_entropy(scores, labels, weights), r.normalized_entropy, 1e-9) << r.seed;
    EXPECT_NEAR(predicted_over_actual(scores, labels, weights), r.predicted_over_actual, 1e-14) << r.seed;
    if (r.weighted) continue;
    EXPECT_NEAR(ndcg(scores, labels, {}, {}, 1), r.ndcg_1, 1e-11) << r.seed;
    EXPECT_NEAR(ndcg(scores, labels, {}, {}, 5), r.ndcg_5, 1e-11) << r.seed;
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

// Dense numbers of groups are counted, others sorted: the bits are the same.
TEST(GroupAuc, DoesNotDependOnTheNumbersOfGroups) {
  std::vector<double> scores;
  std::vector<float> labels;
  std::vector<int64_t> dense, sparse, extreme;
  for (int64_t i = 0; i < 500; ++i) {
    scores.push_back(static_cast<double>(i * 7919 % 97) / 97);
    labels.push_back(i * 31 % 7 < 3 ? 1.0f : 0.0f);
    dense.push_back(i * 13 % 23 - 5);
    sparse.push_back(dense.back() * 1000003);
    extreme.push_back(dense.back() < 0 ? INT64_MIN + (dense.back() + 5) : INT64_MAX - 17 + dense.back());
  }
  const double value = group_auc(scores, labels, {}, dense);
  EXPECT_GT(value, 0);
  EXPECT_EQ(group_auc(scores, labels, {}, sparse), value);
  EXPECT_EQ(group_auc(scores, labels, {}, extreme), value);
  EXPECT_EQ(ndcg(scores, labels, {}, sparse, 3), ndcg(scores, labels, {}, dense, 3));
}

TEST(GroupAuc, CountsEveryGroupOnceInTheMean) {
  const std::vector<double> scores = {0.9, 0.2, 0.6, 0.4, 0.7, 0.1, 0.5, 0.3};
  const std::vector<float> labels = {1, 0, 1, 1, 0, 0, 1, 0};
  const std::vector<int64_t> groups = {3, 3, 5, 3, 3, 5, 8, 5};
  EXPECT_DOUBLE_EQ(mean_group_auc(scores, labels, {}, groups), (0.75 + 1) / 2);
  // The weights of group 5 leave it one class, so that group 3 is alone.
  EXPECT_DOUBLE_EQ(mean_group_auc(scores, labels, std::vector<float>{1, 1, 0, 1, 1, 1, 1, 1}, groups), 0.75);
}

// Group 1: clicks at ranks 1 and 3; group 2: none; group 3: one click at rank 2.
const std::vector<double> kScores = {0.9, 0.5, 0.7, 0.3, 0.2, 0.6, 0.4};
const std::vector<float> kClicks = {1, 1, 0, 0, 0, 0, 1};
const std::vector<int64_t> kGroups = {1, 1, 1, 2, 2, 3, 3};

TEST(Ranks, AreThoseOfEachGroup) {
  EXPECT_NEAR(mean_reciprocal_rank(kScores, kClicks, {}, kGroups), ((1 + 1.0 / 3) / 2 + 0 + 0.5) / 3, 1e-11);
  EXPECT_NEAR(ndcg(kScores, kClicks, {}, kGroups, 1), (1.0 + 0 + 0) / 3, 1e-11);
  const double log3 = std::log2(3.0);
  EXPECT_NEAR(ndcg(kScores, kClicks, {}, kGroups, 2), (1 / (1 + 1 / log3) + 0 + 1 / log3) / 3, 1e-11);
  EXPECT_NEAR(ndcg(kScores, kClicks, {}, kGroups, 100), (1.5 / (1 + 1 / log3) + 0 + 1 / log3) / 3, 1e-11);
  EXPECT_THROW(ndcg(kScores, kClicks, {}, kGroups, 0), Error);
  EXPECT_THROW(ndcg(kScores, kClicks, {}, std::vector<int64_t>{1}, 1), Error);
  EXPECT_THROW(mean_reciprocal_rank(Scores{std::nan("")}, Labels{1}), Error);
}

// A row of weight 0 has no rank, and a group of such rows does not count. Other weights scale the gains.
TEST(Ranks, CountRowsAndWeighTheirGains) {
  const Labels weights = {2, 1, 0, 0, 0, 1, 1};  // the second click of group 1 now has rank 2; group 2 is gone
  EXPECT_NEAR(mean_reciprocal_rank(kScores, kClicks, weights, kGroups), ((2 + 0.5) / 3 + 0.5) / 2, 1e-11);
  const double log3 = std::log2(3.0);
  EXPECT_NEAR(ndcg(kScores, kClicks, weights, kGroups, 2), (1 + 1 / log3) / 2, 1e-11);
  const Labels heavier = {1, 3, 1, 1, 1, 1, 1};  // the ideal order of group 1 begins with its second click
  EXPECT_NEAR(ndcg(kScores, kClicks, heavier, kGroups, 1), (1.0 / 3) / 3, 1e-11);
}

// A model that predicts a constant has the mean over all orders of the rows, whatever their order in the data.
TEST(Ranks, AreSharedByRowsWithEqualScores) {
  const Scores equal(3, 0.5);
  for (const Labels& labels : {Labels{1, 0, 0}, Labels{0, 1, 0}, Labels{0, 0, 1}}) {
    EXPECT_NEAR(mean_reciprocal_rank(equal, labels), (1 + 1.0 / 2 + 1.0 / 3) / 3, 1e-11);
    EXPECT_NEAR(ndcg(equal, labels, {}, {}, 2), (1 + 1 / std::log2(3.0)) / 3, 1e-11);
  }
  EXPECT_NEAR(mean_reciprocal_rank(Scores{0.9, 0.5, 0.5}, Labels{0, 1, 0}), (1.0 / 2 + 1.0 / 3) / 2, 1e-11);
}

TEST(NormalizedEntropy, IsOneForTheConstantAndAboveForWorse) {
  const Labels labels = {1, 0, 0, 0}, weights = {1, 2, 2, 5};
  EXPECT_NEAR(normalized_entropy(Scores(4, 0.25), labels), 1, 1e-15);
  EXPECT_NEAR(normalized_entropy(Scores(4, 0.1), labels, weights), 1, 1e-15);
  EXPECT_GT(normalized_entropy(Scores(4, 0.3), labels), 1);
  EXPECT_LT(normalized_entropy(Scores{0.7, 0.2, 0.2, 0.2}, labels), 1);
  for (const float label : {0.0f, 1.0f}) EXPECT_TRUE(std::isnan(normalized_entropy(Scores{0.5}, Labels{label})));
}

TEST(PredictedOverActual, IsTheRatioOfSums) {
  EXPECT_DOUBLE_EQ(predicted_over_actual(Scores{0.5, 0.25, 0.75}, Labels{1, 0, 0}), 1.5);
  EXPECT_DOUBLE_EQ(predicted_over_actual(Scores{0.5, 0.25, 0.75}, Labels{1, 0, 0}, Labels{2, 4, 0}), 1);
  EXPECT_TRUE(std::isnan(predicted_over_actual(Scores{0.5}, Labels{0})));
  EXPECT_DOUBLE_EQ(predicted_over_actual(Scores{0.5}, Labels{1}), 0.5);
}

// calibration_curve of scikit-learn 1.9.1 with strategy "quantile" and 10 bins: 1000 different predictions p, of which
// clicks have the probability p^2.
TEST(Calibration, EqualsScikitLearnsOfDifferentPredictions) {
  const std::vector<double> observed = {0.02, 0.02, 0.07, 0.1, 0.27, 0.27, 0.42, 0.58, 0.66, 0.9};
  Generator next{7};
  Scores scores;
  Labels labels;
  for (size_t i = 0; i < 1000; ++i) {
    scores.push_back((static_cast<double>(i * 7919 % 1000) + 0.5) / 1000);
    labels.push_back(static_cast<double>(next() % 1000) / 1000 < scores.back() * scores.back());
  }
  const std::vector<CalibrationBin> bins = calibration_bins(scores, labels);
  ASSERT_EQ(bins.size(), observed.size());
  for (size_t b = 0; b < bins.size(); ++b) {
    EXPECT_NEAR(bins[b].observed, observed[b], 1e-14) << b;
    EXPECT_NEAR(bins[b].predicted, 0.05 + 0.1 * static_cast<double>(b), 1e-14) << b;
    EXPECT_NEAR(bins[b].share, 0.1, 1e-15) << b;
  }
  EXPECT_NEAR(calibration_error(scores, labels), 0.169, 1e-14);
}

TEST(Calibration, KeepsEqualPredictionsTogether) {
  using Bins = std::vector<CalibrationBin>;
  EXPECT_EQ(calibration_bins(Scores(4, 0.5), Labels{1, 0, 0, 0}), (Bins{{1, 0.5, 0.25}}));
  EXPECT_EQ(calibration_error(Scores(4, 0.5), Labels{1, 0, 0, 0}), 0.25);
  // 30 rows of 0.25 around the middle 1.5 of the ten bins, 70 rows of 0.75 around 6.5.
  Scores scores(30, 0.25);
  scores.insert(scores.end(), 70, 0.75);
  Labels labels(100, 0);
  for (size_t i = 0; i < 40; ++i) labels[2 * i] = 1;  // 15 of 30, 25 of 70
  EXPECT_EQ(calibration_bins(scores, labels), (Bins{{0.3, 0.25, 0.5}, {0.7, 0.75, 25.0 / 70}}));
  EXPECT_NEAR(calibration_error(scores, labels), 0.3 * 0.25 + 0.7 * (0.75 - 25.0 / 70), 1e-15);
  // Weights place rows as repetitions would, and rows of weight 0 not at all.
  EXPECT_EQ(calibration_bins(Scores{0.25, 0.75, 0.5}, Labels{1, 0, 1}, Labels{30, 70, 0}),
            (Bins{{0.3, 0.25, 1}, {0.7, 0.75, 0}}));
  EXPECT_EQ(calibration_bins(Scores{0.25}, Labels{1}, Labels{0}), Bins());
  EXPECT_THROW(calibration_bins(Scores{std::nan("")}, Labels{1}), Error);
}

}  // namespace
}  // namespace kdef
