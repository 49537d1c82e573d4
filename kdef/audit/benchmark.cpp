#include "kdef/audit/benchmark.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <functional>

#include "core/base/clock.h"
#include "core/base/integers.h"
#include "core/base/parallel.h"
#include "core/base/random.h"
#include "data/feed/batching.h"
#include "kdef/config/build.h"
#include "kdef/measure/evaluation.h"
#include "kdef/method/batch_feed.h"
#include "kdef/train/training_step.h"
#include "ops/check/kinds.h"
#include "ops/gemm/route.h"

namespace kdef {
namespace {

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  const size_t n = v.size();
  return n == 0 ? 0 : n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
}

// The processor time of all threads of this process.
double processor_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Rank by a continuous Zipf law with exponent 1 over [1, n]: n^u for uniform u.
int32_t zipf(Random& random, int64_t n) {
  return static_cast<int32_t>(
      std::min<int64_t>(n, static_cast<int64_t>(std::pow(static_cast<double>(n), random.uniform()))));
}

data::Batch random_rows(const data::FeatureMap& map, int64_t rows, uint64_t seed) {
  Random random(seed, kStreamSynth);
  data::Batch batch;
  batch.rows = rows;
  for (int64_t b = 0; b < rows; ++b) {
    for (const data::Field& f : map.fields) {
      if (f.type == data::FieldType::numeric) {
        batch.numerics.push_back(static_cast<float>(random.uniform()));
        continue;
      }
      const int64_t used = f.type == data::FieldType::sequence
                               ? 1 + static_cast<int64_t>(random.below(static_cast<uint64_t>(f.max_len)))
                               : 1;
      for (int64_t l = 0; l < f.max_len; ++l) {
        batch.ids.push_back(l < used ? zipf(random, std::max<int64_t>(1, f.vocab_size - 1)) : 0);
      }
    }
    batch.labels.push_back(random.uniform() < 0.25 ? 1.0f : 0.0f);
  }
  return batch;
}

ModelInput as_input(data::Batch& batch, const Ensemble& model) {
  return model_input(batch, model.embedding().id_columns(), model.embedding().value_columns());
}

// The kind of work of an op. A profile shows an op without a kind under the name of the op.
std::string kind_of(const std::string& op) {
  for (const Objective* objective : objectives()) {
    if (objective->op != nullptr && op == objective->op->name) return "objective";
  }
  const char* kind = ops::kind_of(op);
  return kind == nullptr ? op : kind;
}

// A model of zeros that computes all products of its formulas: its first layers do not use distinct ids.
Ensemble plain_model(EnsembleConfig config, const data::FeatureMap& map, Device device) {
  config.distinct = false;
  nn::Builder zeros = nn::Builder::zeros(DType::f32, device);
  return Ensemble(config, embedding_fields(map), zeros);
}

// Runs matrix products alone. All use the same three buffers.
class ProductsAlone {
 public:
  ProductsAlone(std::vector<ops::Gemm> products, Device device) : products_(std::move(products)), device_(device) {
    int64_t a = 0, b = 0, c = 0;
    for (const ops::Gemm& g : products_) {
      a = std::max(a, g.batch * g.m * g.k);
      b = std::max(b, g.batch * g.k * g.n);
      c = std::max(c, g.batch * g.m * g.n);
      gflop += 2e-9 * static_cast<double>(g.batch * g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
    }
    a_ = Tensor::full({a}, 0.01, DType::f32, device);
    b_ = Tensor::full({b}, 0.01, DType::f32, device);
    c_ = Tensor::zeros({c}, DType::f32, device);
    if (ops::operand_type(c_) != DType::bf16) return;
    rounded_a_ = ops::round_operand(a_);
    rounded_b_ = ops::round_operand(b_);
  }
  double seconds() const {
    synchronize(device_);
    const double start = seconds_now();
    for (const ops::Gemm& g : products_) {
      // In a step these operands are rounded before the product.
      if (rounded_a_.defined() && ops::route(g, a_).takes_rounded)
        ops::gemm(g, rounded_a_, rounded_b_, c_);
      else
        ops::gemm(g, a_, b_, c_);
    }
    synchronize(device_);
    return seconds_now() - start;
  }
  double gflop = 0;

 private:
  std::vector<ops::Gemm> products_;
  Device device_;
  Tensor a_, b_, c_;
  Tensor rounded_a_, rounded_b_;  // on devices whose products read rounded operands
};

// Milliseconds by kind of work: the mean of a few more steps on the CPU, from step number `step` on.
std::map<std::string, double> profile_steps(Ensemble& model, nn::Optimizer& optimizer,
                                            std::vector<data::Batch>& batches, uint64_t seed, uint64_t step) {
  const int profiled = 3;
  double optimizer_seconds = 0;
  TapeProfiler profiler;
  for (int i = 0; i < profiled; ++i, ++step) {
    const ModelInput input = as_input(batches[step % batches.size()], model);
    profiler.restart();
    backward(model.loss(model.forward(input, {true, seed, step}), input.labels));
    const double start = seconds_now();
    optimizer.step();
    optimizer_seconds += seconds_now() - start;
  }
  std::map<std::string, double> kinds_ms;
  for (const auto* times : {&profiler.forward, &profiler.backward}) {
    for (const auto& [op, seconds] : *times) kinds_ms[kind_of(op)] += 1e3 * seconds / profiled;
  }
  kinds_ms["optimizer"] = 1e3 * optimizer_seconds / profiled;
  return kinds_ms;
}

template <class Work>
double seconds_of(const Work& work) {
  const double start = seconds_now();
  work();
  return seconds_now() - start;
}

// Milliseconds by kind of work of one prediction, observed in predict() itself, without a tape.
std::map<std::string, double> profile_prediction(const Ensemble& model, const ModelInput& input) {
  std::map<std::string, double> kinds_ms;
  double last = seconds_now();
  const RecordObserver observer([&](const Recorded& recorded) {
    const double now = seconds_now();
    kinds_ms[kind_of(recorded.op.name)] += 1e3 * (now - last);
    last = now;
  });
  predict(model, input);
  return kinds_ms;
}

// The matrix products of the formulas of a step for these rows of a batch.
std::vector<ops::Gemm> products_of_step(const data::FeatureMap& map, const StepBenchmarkConfig& config,
                                        data::Batch& batch, int64_t first, int64_t rows) {
  const Ensemble plain = plain_model(config.model, map, config.device);
  const ModelInput input = as_input(batch, plain).rows(first, rows).to(config.device);
  const ops::GemmRecorder recorder;
  backward(plain.loss(plain.forward(input, {true, config.seed, 0}), input.labels));
  return recorder.products;
}

// Times run(), which takes `together` steps, and in turn the products alone, so that a drift of the machine's speed
// affects both.
StepBenchmark time_steps(const std::function<void()>& run, int together, const ProductsAlone& alone, double for_seconds,
                         CountedGroup& group) {
  StepBenchmark result;
  result.gemm_gflop = alone.gflop;
  alone.seconds();
  std::vector<double> steps, processor, gemms;
  std::map<std::string, Traffic> sent;
  const double until = seconds_now() + for_seconds;
  while (group.agree(steps.size() < 5 || seconds_now() < until)) {
    const std::map<std::string, Traffic> before = group.traffic();
    const double start = seconds_now(), busy = processor_seconds();
    run();
    steps.push_back((seconds_now() - start) / together);
    processor.push_back((processor_seconds() - busy) / together);
    for (const auto& [kind, traffic] : group.traffic()) {
      const auto was = before.find(kind);
      sent[kind] += was == before.end() ? traffic : traffic - was->second;
    }
    gemms.push_back(alone.seconds());
  }
  result.repetitions = static_cast<int>(steps.size()) * together;
  result.step_ms = 1e3 * median(steps);
  result.cpu_ms = 1e3 * median(processor);
  result.gemm_ms = 1e3 * median(gemms);
  for (const auto& [kind, traffic] : sent) {
    if (traffic.calls > 0 && !group.is_alone()) result.traffic[kind] = traffic / result.repetitions;
  }
  return result;
}

}  // namespace

StepBenchmark benchmark_step(const data::FeatureMap& map, const StepBenchmarkConfig& config) {
  const ops::PrecisionScope precision(config.precision);
  const Device device = config.device;
  CountedGroup group(Group::current());
  const GroupScope scope(group);
  const data::BatchPart part{group.rank(), group.size()};
  const int64_t first = part.first(config.batch_size), rows = part.last(config.batch_size) - first;
  std::vector<data::Batch> batches;
  for (uint64_t i = 0; i < 3; ++i) batches.push_back(random_rows(map, config.batch_size, config.seed + i));
  // This is done before the model is made, because memory may hold only one set of tables.
  std::vector<ops::Gemm> products = products_of_step(map, config, batches[0], first, rows);
  memory_of(device).trim();
  memory_of(device).restart_peak();
  nn::Builder build(config.seed, DType::f32, device);
  Ensemble model(config.model, embedding_fields(map), build);
  nn::Optimizer optimizer(model.parameters(), config.optimizer, partial_sums(model, config.shards));
  BatchFeed feed(device, config.batch_size, model.embedding().id_columns(), model.embedding().value_columns());
  TrainingStep compute(model, optimizer, config.precision, config.seed, config.batch_size, config.shards);
  uint64_t step = 0;
  // A device gets ten steps at a time, so that the host runs ahead of it as in training.
  const int together = device.is_cpu() ? 1 : 10;
  const auto run = [&] {
    for (int i = 0; i < together; ++i, ++step) {
      compute.run(feed.put(batches[step % batches.size()]).rows(first, rows), step, first, config.batch_size);
    }
    optimizer.take_records();
  };
  for (int i = 0; i < config.warmup; ++i) run();

  const double peak_mib = static_cast<double>(memory_of(device).statistics().peak) / (1 << 20);
  StepBenchmark result = time_steps(run, together, ProductsAlone(std::move(products), device), config.seconds, group);
  result.peak_mib = peak_mib;
  result.rows_per_s = 1e3 * static_cast<double>(config.batch_size) / result.step_ms;
  // A recorded step has no ops that could be timed one by one.
  if (device.is_cpu() && group.is_alone()) {
    result.kinds_ms = profile_steps(model, optimizer, batches, config.seed, step);
  }
  return result;
}

namespace {

// The matrix products of the formulas for one batch.
std::vector<ops::Gemm> products_of(const EnsembleConfig& config, const data::FeatureMap& map, data::Batch& rows) {
  const Ensemble plain = plain_model(config, map, kCpu);
  const ModelInput input = as_input(rows, plain);
  const NoGrad no_grad;
  const ops::GemmRecorder recorder;
  plain.forward(input, {});
  return recorder.products;
}

// `count` rows, one after the other.
PredictBenchmark::Latency latency_of(const Scorer& scorer, const ModelInput& rows, int64_t count) {
  constexpr int64_t kWarmup = 100;
  std::vector<double> seconds;
  for (int64_t i = -kWarmup; i < count; ++i) {
    const ModelInput row = rows.rows((i + kWarmup) % rows.rows(), 1);
    const double taken = seconds_of([&] { predict(scorer, row, /*threads=*/true); });
    if (i >= 0) seconds.push_back(taken);
  }
  std::sort(seconds.begin(), seconds.end());
  const auto quantile = [&](double share) {
    return 1e6 * seconds[static_cast<size_t>(share * static_cast<double>(seconds.size() - 1))];
  };
  return {quantile(0.5), quantile(0.99)};
}

}  // namespace

PredictBenchmark benchmark_predict(const data::FeatureMap& map, const PredictBenchmarkConfig& config) {
  const int64_t batch_size = config.batch_size;
  data::Batch one_batch = random_rows(map, batch_size, config.seed);
  const ProductsAlone alone(products_of(config.model, map, one_batch), kCpu);
  memory_of(kCpu).trim();
  memory_of(kCpu).restart_peak();
  nn::Builder build(config.seed);
  const Ensemble model(config.model, embedding_fields(map), build);
  // Enough rows that small batches are not always the same rows, which would be in the processor's caches; and as many
  // batches in a row as a server would get before something else has filled the caches.
  constexpr int64_t kRows = 4096;
  const int64_t different = divide_up(kRows, batch_size), together = std::min<int64_t>(different, 64);
  data::Batch rows = random_rows(map, different * batch_size, config.seed);
  const ModelInput all = as_input(rows, model);
  const auto batch = [&](size_t i) { return all.rows(static_cast<int64_t>(i) % different * batch_size, batch_size); };
  PredictBenchmark result;
  result.gemm_gflop = alone.gflop;
  alone.seconds();
  predict(model, batch(0));
  result.peak_mib = static_cast<double>(memory_of(kCpu).statistics().peak) / (1 << 20);
  const Scorer scorer(model, config.scorer);
  result.compiled = scorer.compiled();
  result.scorer_mib = static_cast<double>(scorer.weight_bytes() + scorer.table_bytes()) / (1 << 20);
  std::vector<double> batches, processor, engine, gemms;
  const double until = seconds_now() + config.seconds;
  while (batches.size() < 5 || seconds_now() < until) {
    for (int64_t i = 0; i < together; ++i) {
      const ModelInput input = batch(batches.size());
      const double busy = processor_seconds();
      batches.push_back(seconds_of([&] { predict(scorer, input, /*threads=*/true); }));
      processor.push_back(processor_seconds() - busy);
    }
    for (int64_t i = 0; i < together; ++i) {
      const ModelInput input = batch(engine.size());
      engine.push_back(seconds_of([&] { predict(model, input); }));
    }
    gemms.push_back(alone.seconds());
  }
  result.repetitions = static_cast<int>(batches.size());
  result.batch_ms = 1e3 * median(batches);
  result.cpu_ms = 1e3 * median(processor);
  result.engine_ms = 1e3 * median(engine);
  result.gemm_ms = 1e3 * median(gemms);
  result.rows_per_s = static_cast<double>(batch_size) / median(batches);

  const int threads = num_threads();
  result.all_threads = latency_of(scorer, all, config.latency_rows);
  set_num_threads(1);
  result.one_thread = latency_of(scorer, all, config.latency_rows);
  result.kinds_ms = profile_prediction(model, batch(0));
  set_num_threads(threads);
  return result;
}

}  // namespace kdef
