// The learning-rate range test (Smith, "Cyclical learning rates for training neural networks", 2015): a short training
// whose rate rises from step to step shows which rates learn, and from which rate on they do not.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/tensor/device.h"
#include "data/encode/progress.h"
#include "kdef/config/config.h"

namespace kdef {

struct RateTestConfig {
  double low = 1e-6, high = 1;  // 0 < low < high
  int64_t steps = 200;          // at least kFewestRateSteps
};
inline constexpr int64_t kFewestRateSteps = 20;

struct RateTest {
  struct Point {
    double rate, loss;  // of a step: the objective and the regularizer, before the step
    double smoothed;    // exponential mean of the losses so far
  };
  std::vector<Point> points;  // fewer than `steps` where the loss went up or was not finite: the test ends there
  double lowest_at = 0;       // the rate where the smoothed loss is lowest
  double proposed = 0;        // lowest_at / kBelowLowest; 0: the loss did not go down
};
inline constexpr double kBelowLowest = 10;

/// Smooths losses, ends where they go up, and proposes a rate. At step i of n the rate is
/// low (high / low)^(i / (n - 1)). `loss(rate)` takes a step with this rate and returns the loss before it. The
/// smoothed loss is the mean of the losses so far with weights 0.9^(steps since), so that one batch does not decide;
/// the first kFewestRateSteps steps are left out for the same reason. The test ends when the smoothed loss is
/// above 1.25 times its lowest value, or when a loss is not finite. No rate is proposed where the smoothed loss did not
/// fall by 1 %.
RateTest run_rate_test(const RateTestConfig& config, const std::function<double(double rate)>& loss);

/// Runs the test on a new model of the experiment, with its batches, optimizer and seed; after the last batch of the
/// training rows the first one comes again. Prepares the data where its cache is missing or stale, and writes nothing
/// else. Throws what a training throws that cannot start; InputError in a group of processes.
RateTest find_learning_rate(
    const ExperimentConfig& config, const RateTestConfig& test, Device device,
    const std::function<void(const data::Progress&)>& progress = [](const data::Progress&) {});

/// {"proposed":..,"lowest_at":..,"points":[{"rate":..,"loss":..,"smoothed":..},..]}; an unknown number is null.
std::string to_json(const RateTest& test);

}  // namespace kdef
