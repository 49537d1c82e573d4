#include "kdef/run/rate_test.h"

#include <algorithm>
#include <cmath>

#include "core/base/group.h"
#include "data/encode/prepare.h"
#include "data/feed/batching.h"
#include "kdef/config/build.h"
#include "kdef/measure/evaluation_json.h"
#include "kdef/method/batch_feed.h"
#include "kdef/run/pretrained.h"
#include "kdef/run/run.h"
#include "kdef/train/training_step.h"

namespace kdef {
namespace {

constexpr double kMemory = 0.9;     // of the smoothed loss
constexpr double kGoesUp = 1.25;    // times the lowest smoothed loss: the test ends
constexpr double kGoesDown = 0.99;  // times the smoothed loss at the start: the test has learned something

// Batches of the training rows without end.
class EndlessBatches {
 public:
  EndlessBatches(const data::EncodedFile& rows, const TrainingConfig& config)
      : loader_(rows, config.batch_size, config.shuffle, config.seed) {
    loader_.start_epoch(epoch_);
  }
  data::Batch& next() {
    while (!loader_.next(batch_)) loader_.start_epoch(++epoch_);
    return batch_;
  }

 private:
  data::Loader loader_;
  data::Batch batch_;
  int64_t epoch_ = 0;
};

}  // namespace

RateTest run_rate_test(const RateTestConfig& config, const std::function<double(double rate)>& loss) {
  if (!(config.low > 0) || !(config.high > config.low) || !std::isfinite(config.high) ||
      config.steps < kFewestRateSteps) {
    throw InputError(cat("the test of learning rates needs 0 < low < high and at least ", kFewestRateSteps,
                         " steps; it was given ", config.low, ", ", config.high, " and ", config.steps));
  }
  RateTest test;
  double sum = 0, weight = 0, start = 0, lowest = 0;
  for (int64_t i = 0; i < config.steps; ++i) {
    const double rate =
        config.low * std::pow(config.high / config.low, static_cast<double>(i) / static_cast<double>(config.steps - 1));
    const double l = loss(rate);
    if (!std::isfinite(l)) break;
    sum = kMemory * sum + l;
    weight = kMemory * weight + 1;
    const double smoothed = sum / weight;
    test.points.push_back({rate, l, smoothed});
    if (i + 1 < kFewestRateSteps) continue;  // one batch has too much weight
    if (i + 1 == kFewestRateSteps) start = smoothed;
    if (i + 1 == kFewestRateSteps || smoothed < lowest) {
      lowest = smoothed;
      test.lowest_at = rate;
    }
    if (smoothed > kGoesUp * lowest) break;
  }
  if (lowest < kGoesDown * start) test.proposed = test.lowest_at / kBelowLowest;
  return test;
}

RateTest find_learning_rate(const ExperimentConfig& config, const RateTestConfig& test, Device device,
                            const std::function<void(const data::Progress&)>& progress) {
  if (!Group::current().is_alone()) {
    throw InputError("the test of learning rates runs in one process; start it without mpirun");
  }
  if (!config.init.empty()) throw InputError("the test of learning rates is of a new model; leave out init");
  TrainingConfig training = config.training;
  training.divide_tables = false;  // one process holds the whole tables
  ops::check_precision(training.precision, device);
  const auto data = data::prepare_and_open(config.dataset, cache_directory(config), progress);
  nn::Builder build(training.seed, DType::f32, device);
  Ensemble model(config.model, embedding_fields(data.summary.map), build);
  data.verify();
  load_pretrained(config.dataset, data.vocabulary, model);
  check_trainable(model, *data.train, data.valid ? *data.valid : *data.train, training);

  EndlessBatches batches(*data.train, training);
  nn::Optimizer optimizer(model.parameters(), training.optimizer);
  BatchFeed feed(device, training.batch_size, model.embedding().id_columns(), model.embedding().value_columns(),
                 data.train->layout().weights);
  TrainingStep compute(model, optimizer, training.precision, training.seed, training.batch_size);
  uint64_t step = 0;
  return run_rate_test(test, [&](double rate) {
    optimizer.set_learning_rate(rate);
    const ModelInput input = feed.put(batches.next());
    compute.run(input, step++);
    const nn::StepRecord record = optimizer.take_records().at(0);
    progress({"steps of rising rate", static_cast<int64_t>(step) * training.batch_size,
              static_cast<double>(step) / static_cast<double>(test.steps)});
    return std::isfinite(record.gradient_norm) ? record.loss + record.regularization : std::nan("");
  });
}

std::string to_json(const RateTest& test) {
  Json json{{"proposed", test.proposed > 0 ? Json(test.proposed) : Json()},
            {"lowest_at", number_to_json(test.lowest_at)},
            {"points", Json::array()}};
  for (const RateTest::Point& p : test.points)
    json["points"].push_back({{"rate", p.rate}, {"loss", p.loss}, {"smoothed", p.smoothed}});
  return json.dump();
}

}  // namespace kdef
