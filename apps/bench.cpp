#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "core/parallel.h"
#include "data/synth.h"
#include "kdef/benchmark.h"
#include "ops/gemm.h"

namespace kdef::apps {

int bench(const Arguments& arguments) {
  if (!arguments.empty() && arguments[0] == "load") return bench_load({arguments.begin() + 1, arguments.end()});
  if (!arguments.empty() && arguments[0] == "prepare") return bench_prepare({arguments.begin() + 1, arguments.end()});
  po::options_description options;
  options.add_options()("shape", po::value<std::string>()->value_name("SHAPE")->default_value("criteo"),
                        "criteo, ml-1m, default, or the file of a feature map (JSON)");
  options.add_options()("students", po::value<int64_t>()->value_name("M")->default_value(3), "students");
  options.add_options()("batch", po::value<int64_t>()->value_name("B")->default_value(10000), "rows in a batch");
  options.add_options()("dim", po::value<int64_t>()->value_name("D")->default_value(16), "embedding dimension");
  options.add_options()("precision", po::value<std::string>()->value_name("P")->default_value("f32"),
                        "type of the matrix products' operands: f32 or bf16");
  options.add_options()("seconds", po::value<int64_t>()->value_name("S")->default_value(10), "how long to measure");
  options.add_options()("composed", po::bool_switch(), "the readable twins instead of the fused ops");
  add_threads_option(options);
  const auto parsed =
      parse({"bench", "step [--shape criteo|ml-1m|FILE] [--students M] [--batch B] [--threads N]",
             "Times a training step of KDEF (students 400-400-400 with batch norm and dropout 0.1, dense\n"
             "Adam, L2 over all rows, clipping), in turn with the matrix products that its formulas ask for,\n"
             "alone, those too that the first layer avoids by working on distinct ids. The last line is one\n"
             "JSON object: rows_per_s, step_ms, gemm_ms, ratio = step_ms / gemm_ms, peak_mib.\n"
             "kdef bench prepare and kdef bench load time the preparation and the loading of data; each has a\n"
             "--help of its own.",
             Synopsis::Rest::paths},
            options, arguments);
  if (!parsed) return kDone;
  if (parsed->rest != std::vector<std::string>{"step"}) {
    throw InputError("kdef bench: say what to measure: kdef bench step, prepare or load; see kdef bench --help");
  }
  use_threads(*parsed);
  StepBenchmarkConfig config;
  config.precision = ops::parse_precision(parsed->text("precision"));
  config.batch_size = parsed->integer("batch", 2);
  constexpr int64_t kMostRows = int64_t{1} << 24;
  if (config.batch_size > kMostRows) {
    throw InputError(cat("--batch: expected at most ", kMostRows, ", found ", config.batch_size));
  }
  config.seconds = static_cast<double>(parsed->integer("seconds", 1));
  config.model.embedding_dim = parsed->integer("dim", 1);
  config.model.fused = !parsed->flag("composed");
  config.optimizer.embedding.l2 = 1e-5;
  nn::NetworkConfig student;
  student.hidden_units = {400, 400, 400};
  student.hidden_activations = {"relu", "relu", "relu"};
  student.dropout = {0.1, 0.1, 0.1};
  student.batch_norm = true;
  const int64_t students = parsed->integer("students", 1);
  config.model.students.assign(static_cast<size_t>(students), student);
  const StepBenchmark r = benchmark_step(data::shape_feature_map(parsed->text("shape")), config);
  std::printf("%lld students, batch %lld, shape %s, %d threads, %s, %d steps\n", static_cast<long long>(students),
              static_cast<long long>(config.batch_size), parsed->text("shape").c_str(), num_threads(),
              ops::gemm_backend_name(), r.repetitions);
  std::printf("  matrix products alone          %9.2f ms  (%.1f GFLOP, %.0f GFLOP/s)\n", r.gemm_ms, r.gemm_gflop,
              1e3 * r.gemm_gflop / r.gemm_ms);
  std::printf("  step                           %9.2f ms, of which, in a profiled step:\n", r.step_ms);
  for (const auto& [kind, ms] : r.kinds_ms) std::printf("    %-28s %9.2f ms\n", kind.c_str(), ms);
  const nlohmann::ordered_json json{
      {"rows_per_s", r.rows_per_s},     {"step_ms", r.step_ms},     {"gemm_ms", r.gemm_ms},
      {"ratio", r.step_ms / r.gemm_ms}, {"peak_mib", r.peak_mib},   {"students", students},
      {"batch", config.batch_size},     {"threads", num_threads()}, {"precision", parsed->text("precision")}};
  std::printf("%s\n", json.dump().c_str());
  return kDone;
}

}  // namespace kdef::apps
