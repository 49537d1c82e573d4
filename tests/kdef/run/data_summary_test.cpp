// What a run tells beside the training: the columns of its data, and what the model has to beat.
#include "kdef/run/data_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "kdef/train/run_files.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using nlohmann::json;

TEST(DataSummary, CountsValuesAndUnknownRows) {
  const test::TemporaryDirectory dir;
  // 80 training rows: 10 values in 8 rows each and, in their place in rows 0 to 3, four values that occur once.
  std::string text = "label,a,x\n";
  for (int row = 0; row < 100; ++row) {
    const bool is_new = row < 4 || (row >= 80 && row < 83) || row == 95;  // 3 of 10 validation, 1 of 10 test rows
    text += cat(row % 2, ",", is_new ? cat("once", row) : cat("v", row % 10), ",", row, "\n");
  }
  data::DatasetConfig config;
  config.id = "set";
  config.train_data = test::put(dir / "rows.csv", text);
  config.valid_size = config.test_size = 0.1;
  config.min_categr_count = 2;
  config.fields.resize(2);
  config.fields[0].name = "a";
  config.fields[1].name = "x";
  config.fields[1].type = data::FieldType::numeric;
  config.fields[1].cell = data::CellType::real;
  for (const char* opened : {"made", "from the cache"}) {
    const data::PreparedData data = data::prepare_and_open(config, dir / "cache");
    const DataSummary summary = summarize_data(data.summary, count_unknown(data), default_task());
    const std::vector<ColumnSummary>& columns = summary.columns;
    ASSERT_EQ(columns.size(), 1u) << opened;
    EXPECT_EQ(columns[0].name, "a");
    EXPECT_EQ(columns[0].seen, 14) << opened;
    EXPECT_EQ(columns[0].kept, 10);
    EXPECT_DOUBLE_EQ(columns[0].valid_unknown, 0.3);
    EXPECT_DOUBLE_EQ(columns[0].test_unknown, 0.1);
    // What is written is read again.
    const std::string file = test::put(dir / "data.json", to_json(summary));
    const DataSummary read = read_data_summary(file);
    EXPECT_EQ(to_json(read), to_json(summary));
    EXPECT_EQ(read.train.rows, 80);
    EXPECT_EQ(read.test.clicks, 5);
    test::put(file, "{\"train\":{\"rows\":-1}}");
    EXPECT_THROW(read_data_summary(file), InputError);
  }
}

class Comparison : public testing::Test {
 protected:
  std::string run(const std::string& name, const std::vector<std::string>& overrides) {
    RunOptions options;
    options.directory = experiment_.directory / name;
    run_experiment(experiment_.load(overrides), options);
    return options.directory;
  }
  test::SmallExperiment experiment_;
};

TEST_F(Comparison, TheBaselineDoesNotChangeTheTraining) {
  const RunFiles with(run("with", {})), without(run("without", {"baseline=none"}));
  EXPECT_EQ(test::read_file(with.model()), test::read_file(without.model()));
  EXPECT_EQ(test::read_file(with.result()), test::read_file(without.result()));
  EXPECT_FALSE(exists(without.baseline()));
  const json baseline = json::parse(test::read_file(with.baseline()));
  const json result = json::parse(test::read_file(with.result()));
  const auto log_loss = [](const json& rows) { return rows.at("test").at("logloss").get<double>(); };
  EXPECT_LT(log_loss(baseline.at("logistic_regression")), log_loss(baseline.at("constant")));
  EXPECT_EQ(baseline.at("constant").at("valid").at("auc"), 0.5);
  EXPECT_TRUE(json::parse(test::read_file(with.data())).at("columns").size() > 5);
}

// The file is what was measured; another one shows that a resumed training reads it.
TEST_F(Comparison, AResumedTrainingReadsItsBaseline) {
  RunOptions options;
  options.directory = experiment_.directory / "run";
  const ExperimentConfig config = experiment_.load();
  const RunFiles files(options.directory);
  options.listener.stop_requested = [&] { return exists(files.checkpoint()); };
  ASSERT_TRUE(run_experiment(config, options).interrupted);
  ASSERT_TRUE(exists(files.baseline()));
  Baseline other = read_baseline(files.baseline());
  const double measured = other.constant.valid["logloss"];
  other.constant.valid.set("logloss", 7.5);
  test::put(files.baseline(), to_json(other) + "\n");
  test::put(files.importance(), "of the model so far");
  double told = 0;
  options.baseline = [&](const Baseline& b) { told = b.constant.valid["logloss"]; };
  options.resume = true;
  run_experiment(config, options);
  EXPECT_EQ(told, 7.5);
  EXPECT_FALSE(exists(files.importance()));
  // A damaged file is measured again.
  test::put(files.baseline(), "{");
  options.listener.stop_requested = [] { return false; };
  run_experiment(config, options);
  EXPECT_EQ(told, measured);
}

// Label losses of training and validation rows are of the same model, and of the same kind.
TEST_F(Comparison, EvaluationsMeasureTrainingRows) {
  RunOptions options;
  options.directory = experiment_.directory / "run";
  std::vector<TrainingListener::Evaluated> told;
  options.listener.evaluated = [&](const TrainingListener::Evaluated& e) { told.push_back(e); };
  const ExperimentConfig config =
      experiment_.load({"epochs=12", "embedding_regularizer=0", "learning_rate=1e-2", "early_stop_patience=3"});
  run_experiment(config, options);
  ASSERT_GE(told.size(), 3u);
  EXPECT_NEAR(told[0].train["logloss"], told[0].valid.ensemble["logloss"], 0.25);
  // Without regularization the model learns the training rows by heart.
  EXPECT_LT(told.back().train["logloss"], told.back().valid.ensemble["logloss"] - 0.1);
  int64_t bad = 0;
  for (const TrainingListener::Evaluated& e : told) {
    bad = e.improved ? 0 : bad + 1;
    EXPECT_EQ(e.without_improvement, bad);
    EXPECT_EQ(e.patience, 3);
  }
}

}  // namespace
}  // namespace kdef
