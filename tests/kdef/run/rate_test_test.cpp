// The learning-rate range test: its rule on a loss that is known, and on a model.
#include "kdef/run/rate_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

// Gradient steps on 0.3 + (w - t)^2 / 2 from w = 1, where t is 0.1 and -0.1 in turn: they converge below a rate of 2,
// and blow up above.
TEST(RateTest, FollowsTheLossDownAndEndsWhereItGoesUp) {
  double w = 1, target = -0.1;
  std::vector<double> rates;
  const RateTest test = run_rate_test({1e-4, 1e4, 161}, [&](double rate) {
    rates.push_back(rate);
    target = -target;
    const double slope = w - target;
    w -= rate * slope;
    return 0.3 + slope * slope / 2;
  });
  EXPECT_NEAR(rates[0], 1e-4, 1e-12);
  EXPECT_NEAR(rates[1] / rates[0], std::pow(10, 0.05), 1e-9);  // equal factors: eight decades in 160 steps
  EXPECT_NEAR(rates[20], 1e-3, 1e-9);
  EXPECT_DOUBLE_EQ(test.points[0].loss, 0.3 + 0.9 * 0.9 / 2);
  EXPECT_NEAR(test.points[1].smoothed, (0.9 * test.points[0].loss + test.points[1].loss) / 1.9, 1e-12);
  EXPECT_GT(test.lowest_at, 1);
  EXPECT_LT(test.lowest_at, 2);
  EXPECT_DOUBLE_EQ(test.proposed, test.lowest_at / 10);
  EXPECT_LT(test.points.size(), 161u);
  EXPECT_LT(test.points.back().rate, 100);
}

TEST(RateTest, ProposesNothingWhereNoRateLearns) {
  double loss = 1;
  const RateTest rising = run_rate_test({1e-6, 1, 50}, [&](double) { return loss *= 1.02; });
  EXPECT_EQ(rising.proposed, 0);
  EXPECT_LT(rising.points.size(), 50u);
  EXPECT_TRUE(nlohmann::json::parse(to_json(rising)).at("proposed").is_null());
  EXPECT_TRUE(run_rate_test({1e-6, 1, 50}, [](double) { return std::nan(""); }).points.empty());
  // Noise ends nothing, and is no fall.
  int turn = 0;
  const RateTest noise = run_rate_test({1e-6, 1, 200}, [&](double) { return 0.7 + 0.02 * (turn++ % 3 - 1); });
  EXPECT_EQ(noise.points.size(), 200u);
  EXPECT_EQ(noise.proposed, 0);
  EXPECT_THROW(run_rate_test({0, 1, 50}, [](double) { return 1.0; }), InputError);
  EXPECT_THROW(run_rate_test({1, 1, 50}, [](double) { return 1.0; }), InputError);
  EXPECT_THROW(run_rate_test({1e-6, 1, 19}, [](double) { return 1.0; }), InputError);
}

TEST(RateTest, FindsARateThatTrainsAndWritesNoRun) {
  const test::SmallExperiment e(4000);
  const ExperimentConfig config = e.load({"batch_size=128"});
  const RateTest test = find_learning_rate(config, {}, kCpu);
  EXPECT_GT(test.proposed, 1e-5);
  EXPECT_LT(test.proposed, 0.1);
  EXPECT_EQ(to_json(test), to_json(find_learning_rate(config, {}, kCpu)));  // the same seed, the same bits
  EXPECT_FALSE(std::filesystem::exists(default_run_directory(config)));
  const auto log_loss = [&](double rate) {
    RunOptions options;
    options.directory = e.directory / cat("run", rate);
    return run_experiment(e.load({"batch_size=128", "epochs=2", cat("learning_rate=", rate)}), options)
        .valid.ensemble["logloss"];
  };
  EXPECT_LT(log_loss(test.proposed), log_loss(1e-6) - 0.02);
}

}  // namespace
}  // namespace kdef
