#include "kdef/measure/baseline.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "core/base/parallel.h"
#include "data/encode/prepare.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

// Rows whose click depends on `user` alone: user k of 10 clicks in k + 1 of 12 rows.
data::PreparedData prepared(const test::TemporaryDirectory& dir, int rows = 6000) {
  std::ofstream out(dir / "rows.csv");
  out << "label,user,x,tags\n";
  for (int row = 0; row < rows; ++row) {
    const int user = row % 10, turn = row / 10 % 12;
    out << (turn <= user) << ",u" << user << "," << row % 7 << "," << (row % 2 ? "a^b" : "a") << "\n";
  }
  out.close();
  data::DatasetConfig config;
  config.id = "set";
  config.train_data = dir / "rows.csv";
  config.valid_size = config.test_size = 0.1;
  config.split_type = data::SplitType::random;
  config.fields.resize(3);
  config.fields[0].name = "user";
  config.fields[1].name = "x";
  config.fields[1].type = data::FieldType::numeric;
  config.fields[1].cell = data::CellType::real;
  config.fields[2].name = "tags";
  config.fields[2].type = data::FieldType::sequence;
  return data::prepare_and_open(config, dir / "cache");
}

std::optional<Baseline> measured(const data::PreparedData& data) {
  return measure_baseline(data.summary.map, *data.train, *data.valid, &*data.test, metrics_of(default_task()), 1);
}

TEST(Baseline, TheConstantIsTheClickRateOfTheTrainingRows) {
  const test::TemporaryDirectory dir;
  const data::PreparedData data = prepared(dir);
  const Baseline b = *measured(data);
  const double p = static_cast<double>(data.summary.train_positives) / static_cast<double>(data.summary.train_rows);
  const double clicks = static_cast<double>(data.summary.test_positives) / static_cast<double>(data.summary.test_rows);
  EXPECT_NEAR(b.constant.test["logloss"], -clicks * std::log(p) - (1 - clicks) * std::log(1 - p), 1e-9);
  EXPECT_EQ(b.constant.test["auc"], 0.5);
}

// The best prediction is (k + 1) / 12; its log loss on the whole file is known.
TEST(Baseline, TheRegressionLearnsTheRateOfEveryValue) {
  const test::TemporaryDirectory dir;
  const Baseline b = *measured(prepared(dir));
  double entropy = 0;
  for (int k = 0; k < 10; ++k) {
    const double p = (k + 1) / 12.0;
    entropy -= (p * std::log(p) + (1 - p) * std::log(1 - p)) / 10;
  }
  EXPECT_NEAR(b.logistic_regression.valid["logloss"], entropy, 0.03);
  EXPECT_NEAR(b.logistic_regression.test["logloss"], entropy, 0.03);
  EXPECT_LT(b.logistic_regression.test["logloss"], b.constant.test["logloss"] - 0.05);
  EXPECT_GT(b.logistic_regression.test["auc"], 0.7);
  EXPECT_GE(b.epochs, 1);
}

TEST(Baseline, IsTheSameForAnyNumberOfThreads) {
  const test::TemporaryDirectory dir;
  const data::PreparedData data = prepared(dir);
  const int threads = num_threads();
  set_num_threads(1);
  const Baseline one = *measured(data);
  set_num_threads(3);
  const Baseline three = *measured(data);
  set_num_threads(threads);
  for (const char* metric : {"auc", "logloss"}) {
    EXPECT_EQ(one.logistic_regression.test[metric], three.logistic_regression.test[metric]);
  }
  EXPECT_EQ(one.epochs, three.epochs);
}

TEST(Baseline, IsReadAsItIsWritten) {
  const test::TemporaryDirectory dir;
  const Baseline b = *measured(prepared(dir));
  const std::string file = test::put(dir / "baseline.json", to_json(b) + "\n");
  EXPECT_EQ(to_json(read_baseline(file)), to_json(b));
  EXPECT_EQ(read_baseline(file).logistic_regression.test["logloss"], b.logistic_regression.test["logloss"]);
  for (const char* damaged : {"", "{}", R"({"constant":{"valid":{}},"logistic_regression":{},"epochs":1})",
                              R"({"constant":{"valid":{}},"logistic_regression":{"valid":{}},"epochs":-1})"}) {
    test::put(file, damaged);
    EXPECT_THROW(read_baseline(file), InputError) << damaged;
  }
  EXPECT_THROW(read_baseline(dir / "absent.json"), InputError);
}

TEST(Baseline, StopsWhenAsked) {
  const test::TemporaryDirectory dir;
  const data::PreparedData data = prepared(dir);
  EXPECT_FALSE(measure_baseline(data.summary.map, *data.train, *data.valid, nullptr, metrics_of(default_task()), 1,
                                [](double) { return false; }));
}

}  // namespace
}  // namespace kdef
