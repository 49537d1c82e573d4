#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/terminal.h"
#include "core/base/parallel.h"
#include "data/builtin/synth.h"
#include "kdef/audit/benchmark.h"
#include "ops/gemm/gemm.h"

namespace kdef::apps {

namespace {

constexpr int64_t kMaxRows = int64_t{1} << 24;

// The options that all benchmarks of a model have.
void add_model_options(po::options_description& options) {
  options.add_options()("shape", po::value<std::string>()->value_name("SHAPE")->default_value("criteo"),
                        "criteo, ml-1m, default, or the file of a feature map (JSON)");
  options.add_options()(
      "vocabulary", po::value<int64_t>()->value_name("N"),
      "instead of --shape: 39 id fields with N table rows together, 38 with 100 rows each and one with the rest");
  options.add_options()("students", po::value<int64_t>()->value_name("M")->default_value(3), "students");
  options.add_options()("batch", po::value<int64_t>()->value_name("B")->default_value(10000), "rows per batch");
  options.add_options()("dim", po::value<int64_t>()->value_name("D")->default_value(16), "embedding dimension");
  options.add_options()("seconds", po::value<int64_t>()->value_name("S")->default_value(10),
                        "measure for about S seconds");
  add_threads_option(options);
}

data::FeatureMap feature_map(const Parsed& parsed) {
  if (!parsed.has("vocabulary")) return data::shape_feature_map(parsed.text("shape"));
  constexpr int64_t kFields = 39, kSmall = 100;
  const int64_t rest = parsed.integer("vocabulary", kFields * kSmall) - (kFields - 1) * kSmall;
  data::FeatureMap map;
  for (int64_t i = 0; i < kFields; ++i) {
    data::Field field;
    field.name = cat("f", i);
    field.vocab_size = i == 0 ? rest : kSmall;
    map.fields.push_back(field);
  }
  return map;
}

std::string shape_name(const Parsed& parsed) {
  return parsed.has("vocabulary") ? cat("of ", parsed.integer("vocabulary", 1), " table rows") : parsed.text("shape");
}

// Students 400-400-400 with batch norm and dropout 0.1.
EnsembleConfig ensemble(const Parsed& parsed) {
  nn::NetworkConfig student;
  student.hidden_units = {400, 400, 400};
  student.hidden_activations = {"relu", "relu", "relu"};
  student.dropout = {0.1, 0.1, 0.1};
  student.batch_norm = true;
  EnsembleConfig config;
  config.embedding_dim = parsed.integer("dim", 1);
  config.students.assign(static_cast<size_t>(parsed.integer("students", 1)), student);
  return config;
}

int64_t batch_size(const Parsed& parsed, int64_t min) {
  const int64_t rows = parsed.integer("batch", min);
  if (rows > kMaxRows) throw InputError(cat("--batch: expected at most ", kMaxRows, ", found ", rows));
  return rows;
}

void print_kinds(const std::map<std::string, double>& kinds_ms) {
  for (const auto& [kind, ms] : kinds_ms) print("    %-28s %9.2f ms\n", kind.c_str(), ms);
}

int bench_step(const Arguments& arguments) {
  po::options_description options;
  add_model_options(options);
  options.add_options()("optimizer", po::value<std::string>()->value_name("NAME")->default_value("adam"),
                        nn::optimizer_names().c_str());
  options.add_options()("precision", po::value<std::string>()->value_name("P")->default_value("f32"),
                        "type of the operands of matrix products: f32, tf32 (CUDA) or bf16");
  options.add_options()("composed", po::bool_switch(), "use the readable twins instead of the fused ops");
  add_device_option(options);
  const auto parsed = parse({"bench step", "[--shape criteo|ml-1m|FILE] [--students M] [--batch B] [--threads N]",
                             "Times a training step of KDEF: students 400-400-400 with batch norm and dropout 0.1,\n"
                             "dense Adam by default, L2 over all table rows, clipping. Steps alternate with the\n"
                             "matrix products of the formulas alone; these include products that a training step\n"
                             "avoids, since its first layer works on distinct ids. The last line is one JSON object:\n"
                             "rows_per_s, step_ms, gemm_ms, ratio = step_ms / gemm_ms, peak_mib, and on the CPU\n"
                             "optimizer_ms."},
                            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  StepBenchmarkConfig config;
  config.device = use_device(*parsed);
  config.precision = ops::parse_precision(parsed->text("precision"));
  ops::check_precision(config.precision, config.device);
  config.batch_size = batch_size(*parsed, 2);
  config.seconds = static_cast<double>(parsed->integer("seconds", 1));
  config.model = ensemble(*parsed);
  config.model.fused = !parsed->flag("composed");
  config.optimizer.kind = nn::parse_optimizer(parsed->text("optimizer"));
  config.optimizer.embedding.l2 = 1e-5;
  const StepBenchmark r = benchmark_step(feature_map(*parsed), config);
  print("%zu students, batch %lld, shape %s, %d threads, %s, %d steps\n", config.model.students.size(),
        static_cast<long long>(config.batch_size), shape_name(*parsed).c_str(), num_threads(),
        ops::gemm_backend_name(config.device), r.repetitions);
  print("  matrix products alone          %9.2f ms  (%.1f GFLOP, %.0f GFLOP/s)\n", r.gemm_ms, r.gemm_gflop,
        1e3 * r.gemm_gflop / r.gemm_ms);
  print("  step                           %9.2f ms%s\n", r.step_ms,
        r.kinds_ms.empty() ? "" : ", of which, in a profiled step:");
  print_kinds(r.kinds_ms);
  nlohmann::ordered_json json{{"rows_per_s", r.rows_per_s},
                              {"step_ms", r.step_ms},
                              {"gemm_ms", r.gemm_ms},
                              {"ratio", r.step_ms / r.gemm_ms},
                              {"peak_mib", r.peak_mib},
                              {"students", config.model.students.size()},
                              {"batch", config.batch_size},
                              {"threads", num_threads()},
                              {"device", name_of(config.device)},
                              {"precision", parsed->text("precision")},
                              {"optimizer", parsed->text("optimizer")}};
  if (!r.kinds_ms.empty()) json["optimizer_ms"] = r.kinds_ms.at("optimizer");
  print("%s\n", json.dump().c_str());
  return kDone;
}

int bench_predict(const Arguments& arguments) {
  po::options_description options;
  add_model_options(options);
  options.add_options()("latency-rows", po::value<int64_t>()->value_name("N")->default_value(5000),
                        "rows to predict one by one");
  const auto parsed = parse({"bench predict", "[--shape criteo|ml-1m|FILE] [--students M] [--batch B] [--threads N]",
                             "Times predictions of students 400-400-400 with batch norm, from encoded rows in memory.\n"
                             "Batches alternate with the matrix products of their forward pass alone. Then single\n"
                             "rows are predicted, with one thread and with all threads. The last line is one JSON\n"
                             "object: rows_per_s, batch_ms, gemm_ms, ratio = gemm_ms / batch_ms, latency_p50_us and\n"
                             "latency_p99_us (of one thread; ..._all_threads_us of all), peak_mib."},
                            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  PredictBenchmarkConfig config;
  config.batch_size = batch_size(*parsed, 1);
  config.seconds = static_cast<double>(parsed->integer("seconds", 1));
  config.latency_rows = parsed->integer("latency-rows", 1);
  config.model = ensemble(*parsed);
  const PredictBenchmark r = benchmark_predict(feature_map(*parsed), config);
  print("%zu students, batch %lld, shape %s, %d threads, %s, %d batches\n", config.model.students.size(),
        static_cast<long long>(config.batch_size), shape_name(*parsed).c_str(), num_threads(), ops::gemm_backend_name(),
        r.repetitions);
  print("  matrix products alone          %9.2f ms  (%.1f GFLOP, %.0f GFLOP/s)\n", r.gemm_ms, r.gemm_gflop,
        1e3 * r.gemm_gflop / r.gemm_ms);
  print("  batch                          %9.2f ms; on one thread, profiled:\n", r.batch_ms);
  print_kinds(r.kinds_ms);
  print("  one row, one thread            %9.1f us median, %.1f us at 99 %%\n", r.one_thread.p50, r.one_thread.p99);
  print("  one row, %2d threads            %9.1f us median, %.1f us at 99 %%\n", num_threads(), r.all_threads.p50,
        r.all_threads.p99);
  const nlohmann::ordered_json json{{"rows_per_s", r.rows_per_s},
                                    {"batch_ms", r.batch_ms},
                                    {"gemm_ms", r.gemm_ms},
                                    {"ratio", r.gemm_ms / r.batch_ms},
                                    {"latency_p50_us", r.one_thread.p50},
                                    {"latency_p99_us", r.one_thread.p99},
                                    {"latency_p50_all_threads_us", r.all_threads.p50},
                                    {"latency_p99_all_threads_us", r.all_threads.p99},
                                    {"peak_mib", r.peak_mib},
                                    {"students", config.model.students.size()},
                                    {"batch", config.batch_size},
                                    {"threads", num_threads()}};
  print("%s\n", json.dump().c_str());
  return kDone;
}

constexpr struct {
  const char* what;
  int (*run)(const Arguments&);
} kBenchmarks[] = {{"step", bench_step}, {"predict", bench_predict}, {"prepare", bench_prepare}, {"load", bench_load}};

}  // namespace

int bench(const Arguments& arguments) {
  for (const auto& benchmark : kBenchmarks) {
    if (!arguments.empty() && arguments[0] == benchmark.what) {
      return benchmark.run({arguments.begin() + 1, arguments.end()});
    }
  }
  const po::options_description options;
  const auto parsed = parse({"bench", "step|predict|prepare|load [options]",
                             "Measures the speed of a training step, of prediction, of preparing data and of loading\n"
                             "data. See kdef bench step --help and so on."},
                            options, arguments);
  if (!parsed) return kDone;
  throw InputError("kdef bench needs step, predict, prepare or load: what to measure; see kdef bench --help");
}

}  // namespace kdef::apps
