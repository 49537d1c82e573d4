// The task regression, from files to results: an identity link, the squared error, RMSE and MAE.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "core/base/error.h"
#include "core/io/file.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

// The synthetic clicks with labels -0.5 and 2 in place of 0 and 1. Returns the share of 2 in the test data.
double make_numbers(const std::string& directory) {
  double share = 0;
  for (const char* name : {"/train.csv", "/valid.csv", "/test.csv"}) {
    std::istringstream lines(test::read_file(directory + name));
    std::string line, text;
    std::getline(lines, line);
    text = line + "\n";
    const std::string header = line + ",";
    size_t column = 0;
    for (size_t at = 0; header.compare(at, 6, "label,") != 0; at = header.find(',', at) + 1) ++column;
    double rows = 0, high = 0;
    while (std::getline(lines, line)) {
      size_t at = 0;
      for (size_t i = 0; i < column; ++i) at = line.find(',', at) + 1;
      high += line[at] == '1';
      ++rows;
      text += line.replace(at, 1, line[at] == '1' ? "2" : "-0.5") + "\n";
    }
    write_file(directory + name, text);
    share = high / rows;
  }
  return share;
}

std::vector<std::string> regression(const std::string& ensemble) {
  return {"task=regression",      "loss=mse", "metrics=[RMSE, MAE]", "monitor=RMSE", "monitor_mode=min",
          "ensemble=" + ensemble, "epochs=6", "learning_rate=0.005"};
}

TEST(Regression, LearnsNumbersWithEveryEnsembleOfTheLabelLoss) {
  const test::SmallExperiment e(6000);
  const double share = make_numbers(e.directory / "data");
  const double constant = 2.5 * std::sqrt(share * (1 - share));  // the RMSE of the best constant
  for (const char* ensemble : {"mean", "sum", "concat"}) {
    RunOptions options;
    options.directory = e.directory / ensemble;
    const ExperimentConfig config = e.load(regression(ensemble));
    EXPECT_EQ(config.dataset.label_kind, data::LabelKind::number);
    const TrainingResult result = run_experiment(config, options);
    ASSERT_TRUE(result.has_test);
    EXPECT_LT(result.test.ensemble["rmse"], 0.97 * constant) << ensemble;
    EXPECT_LE(result.test.ensemble["mae"], result.test.ensemble["rmse"]) << ensemble;
    EXPECT_FALSE(result.test.ensemble.has(metric_of_key("auc")));
    const std::string collapse = test::read_file(options.directory + "/collapse.json");
    EXPECT_THAT(collapse, testing::HasSubstr("\"ensemble_rmse\":"));
    // The run is read with its task: a prediction is a number, not a probability.
    const kdef::Run run(options.directory);
    data::Batch batch;
    data::RawFile rows(run.encoder(), e.directory / "data/test.csv", true);
    ASSERT_TRUE(rows.next(batch, 100));
    const Probabilities p =
        predict(run.model(), model_input(batch, run.encoder().id_columns(), run.encoder().numeric_columns()));
    for (const float x : p.ensemble) EXPECT_NEAR(x, 0.75, 3);
  }
}

TEST(Regression, TakesItsMetricsAndMonitorFromTheTask) {
  const test::SmallExperiment e(300);
  make_numbers(e.directory / "data");
  std::string yaml = test::read_file(e.directory / "data/model_config.yaml");
  for (const char* key : {"metrics: ", "monitor: ", "monitor_mode: ", "loss: ", "task: "}) {
    for (size_t at; (at = yaml.find(key)) != std::string::npos;) yaml.erase(at, yaml.find('\n', at) - at);
  }
  write_file(e.directory / "data/model_config.yaml", yaml);
  const ExperimentConfig c = e.load({"task=regression", "ensemble=mean"});
  EXPECT_EQ(c.metrics, (std::vector<std::string>{"RMSE", "MAE"}));
  EXPECT_EQ(c.training.monitor, (std::map<std::string, double>{{"RMSE", 1.0}}));
  EXPECT_FALSE(c.training.monitor_max);
  EXPECT_EQ(c.model.task->loss_names[0], "mean_squared_error");
}

std::string refusal(const test::SmallExperiment& e, std::vector<std::string> overrides) {
  try {
    e.load(std::move(overrides));
  } catch (const InputError& error) {
    return error.what();
  }
  return "nothing was refused";
}

TEST(Regression, RefusesWhatIsDefinedForClicks) {
  const test::SmallExperiment e(300);
  EXPECT_THAT(refusal(e, regression("kdef")), testing::HasSubstr("examination 1 - |y - p|"));
  EXPECT_THAT(refusal(e, {"task=regression", "ensemble=mean", "loss=bce"}), testing::HasSubstr("mean_squared_error"));
  EXPECT_THAT(refusal(e, {"task=regression", "ensemble=mean", "loss=mse", "metrics=[AUC]"}),
              testing::HasSubstr("metric AUC is not defined"));
  EXPECT_THAT(refusal(e, {"metrics=[AUC, RMSE]"}), testing::HasSubstr("metric RMSE is not defined"));
}

}  // namespace
}  // namespace kdef
