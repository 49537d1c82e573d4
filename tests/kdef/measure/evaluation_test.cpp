// Predictions and evaluations of a model on batches in memory.
#include "kdef/measure/evaluation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "ops/elementwise.h"
#include "tests/kdef/small_model.h"

namespace kdef {
namespace {

using test::SmallModel;

// Gives each batch once.
std::function<bool(data::Batch&)> batches(std::vector<data::Batch> all) {
  return [all = std::move(all), at = size_t{0}](data::Batch& out) mutable {
    if (at == all.size()) return false;
    out = all[at++];
    return true;
  };
}

std::vector<double> column(const std::vector<float>& values, size_t columns, size_t k) {
  std::vector<double> one;
  for (size_t i = k; i < values.size(); i += columns) one.push_back(static_cast<double>(values[i]));
  return one;
}

TEST(Predict, GivesTheSigmoidOfTheLogits) {
  SmallModel small;
  data::Batch batch = SmallModel::batch();
  const ModelInput input = model_input(batch, 1, 1);
  const Probabilities p = predict(small.model, input);
  const NoGrad no_grad;
  const Ensemble::Output z = small.model.forward(input, {});
  EXPECT_EQ(p.ensemble, ops::sigmoid(z.ensemble).to_vector<float>());
  EXPECT_EQ(p.students, ops::sigmoid(z.students).to_vector<float>());
}

TEST(Predict, NamesTheTensorThatIsNoNumber) {
  SmallModel small;
  EXPECT_EQ(first_bad_tensor(small.model), "");
  nn::Parameter bad = small.model.parameters().back();
  bad.tensor.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(first_bad_tensor(small.model), "parameter " + bad.name);
  data::Batch batch = SmallModel::batch();
  try {
    predict(small.model, model_input(batch, 1, 1));
    FAIL() << "nothing was thrown";
  } catch (const CheckError& e) {
    EXPECT_NE(std::string(e.what()).find(bad.name), std::string::npos) << e.what();
  }
}

TEST(Evaluate, MeasuresEveryModelOnAllBatches) {
  SmallModel small;
  data::Batch batch = SmallModel::batch();
  const Probabilities p = predict(small.model, model_input(batch, 1, 1));
  std::vector<float> labels = batch.labels;
  labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
  const auto twice = [](std::vector<double> x) {
    x.insert(x.end(), x.begin(), x.begin() + static_cast<long>(x.size()));
    return x;
  };
  const Evaluation e = evaluate(small.model, batches({batch, batch}));
  EXPECT_EQ(e.rows, 12);
  EXPECT_EQ(e.positives, 6);
  ASSERT_EQ(e.students.size(), 2u);
  EXPECT_EQ(e.ensemble["auc"], auc(twice(column(p.ensemble, 1, 0)), labels));
  for (size_t k = 0; k < 2; ++k) {
    EXPECT_EQ(e.students[k]["logloss"], log_loss(twice(column(p.students, 2, k)), labels)) << k;
  }
  EXPECT_EQ(e.ensemble.measured(), metrics_of(small.model.task()));
  const MetricList one = {metric_of_key("pr_auc")};
  EXPECT_EQ(evaluate(small.model, batches({batch}), {one}).ensemble.measured(), one);
}

// Rows of weights 2, 0, 1 count as two, none and one of the row.
TEST(Evaluate, WeighsRowsAsRepeatedRows) {
  SmallModel small;
  data::Batch weighted = SmallModel::batch(), repeated;
  weighted.weights = {2, 0, 1, 1, 2, 1};
  for (size_t b = 0; b < 6; ++b) {
    for (int copies = static_cast<int>(weighted.weights[b]); copies > 0; --copies) {
      repeated.ids.push_back(weighted.ids[b]);
      repeated.numerics.push_back(weighted.numerics[b]);
      repeated.labels.push_back(weighted.labels[b]);
      ++repeated.rows;
    }
  }
  const MetricList all = metrics_to_measure(small.model.task(), {"PR_AUC"});
  const Evaluation a = evaluate(small.model, batches({weighted}), {all}),
                   b = evaluate(small.model, batches({repeated}), {all});
  for (const Metric& m : all) {
    EXPECT_NEAR(a.ensemble[m], b.ensemble[m], 1e-12) << m.key();
    for (size_t k = 0; k < 2; ++k) EXPECT_NEAR(a.students[k][m], b.students[k][m], 1e-12) << m.key();
  }
}

TEST(Evaluate, GivesCalibrationBinsOfEveryModelWhereTheyAreAskedFor) {
  SmallModel small;
  data::Batch batch = SmallModel::batch();
  const Probabilities p = predict(small.model, model_input(batch, 1, 1));
  const Evaluation e = evaluate(small.model, batches({batch}), {{}, true});
  EXPECT_EQ(e.ensemble.measured(), metrics_of(small.model.task()));
  EXPECT_EQ(e.ensemble.calibration, calibration_bins(column(p.ensemble, 1, 0), batch.labels));
  for (size_t k = 0; k < 2; ++k) {
    EXPECT_EQ(e.students[k].calibration, calibration_bins(column(p.students, 2, k), batch.labels)) << k;
  }
  EXPECT_TRUE(evaluate(small.model, batches({batch})).ensemble.calibration.empty());
}

TEST(Evaluation, GroupsOfAllBatchesReachTheMetric) {
  const SmallModel small;
  data::Batch one = SmallModel::batch(), two = SmallModel::batch();
  one.groups = {1, 1, 2, 2, 1, 2};
  two.groups = {2, 3, 3, 1, 3, 1};
  const MetricList metrics = metrics_to_measure(small.model.task(), {"gAUC"});
  const Metric gauc = metric_of_key("gauc");
  const Evaluation all = evaluate(small.model, batches({one, two}), {metrics});
  const Probabilities p = predict(small.model, model_input(one, 1, 1));
  std::vector<double> scores(p.ensemble.begin(), p.ensemble.end());
  scores.insert(scores.end(), p.ensemble.begin(), p.ensemble.end());
  std::vector<float> labels = one.labels;
  labels.insert(labels.end(), two.labels.begin(), two.labels.end());
  std::vector<int64_t> groups = one.groups;
  groups.insert(groups.end(), two.groups.begin(), two.groups.end());
  EXPECT_DOUBLE_EQ(all.ensemble[gauc], group_auc(scores, labels, {}, groups));
  EXPECT_NE(all.ensemble[gauc], all.ensemble["auc"]);
}

}  // namespace
}  // namespace kdef
