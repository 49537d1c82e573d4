#include <array>
#include <bit>
#include <cmath>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/process_group.h"
#include "apps/terminal.h"
#include "core/base/parallel.h"
#include "data/builtin/synth.h"
#include "kdef/audit/benchmark.h"
#include "kdef/run/run.h"
#include "kdef/train/trainer.h"
#include "nn/networks/registry.h"
#include "ops/gemm/gemm.h"
#include "ops/serve/packed.h"

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
  options.add_options()(
      "network", po::value<std::string>()->value_name("NAME"),
      "students of this network (kdef networks), whose MLPs are 400-400-400 with batch norm and dropout "
      "0.1; one student is trained on the labels alone; key=value sets the network's keys (default: mlp, "
      "as a student of KDEF)");
  options.add_options()("students", po::value<int64_t>()->value_name("M")->default_value(3), "students");
  options.add_options()("batch", po::value<int64_t>()->value_name("B")->default_value(10000), "rows per batch");
  options.add_options()("dim", po::value<int64_t>()->value_name("D")->default_value(16), "embedding dimension");
  options.add_options()("seconds", po::value<int64_t>()->value_name("S")->default_value(10),
                        "measure for about S seconds");
  add_config_options(options, false);
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

// Whether the option stands on the command line.
bool is_given(const Parsed& parsed, const char* option) {
  return parsed.has(option) && !parsed.options[option].defaulted();
}

// What is timed.
struct Problem {
  EnsembleConfig model;
  nn::OptimizerConfig optimizer;
  data::FeatureMap map;
  std::string shape;  // for people
  int64_t batch = 0;
};

// Students 400-400-400 with batch norm and dropout 0.1.
EnsembleConfig mlp_ensemble(const Parsed& parsed) {
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

// The same with students of --network, and keys that replace those of its MLPs.
EnsembleConfig network_ensemble(const Parsed& parsed) {
  const nn::NetworkType& type = nn::network_type(parsed.text("network"));
  const int64_t students = parsed.integer("students", 1);
  std::map<std::string, std::string> keys = {{"model", "KDEF"},
                                             {"network", type.name},
                                             {"ensemble", students == 1 ? "mean" : "kdef"},
                                             {"num_student", std::to_string(students)},
                                             {"embedding_dim", std::to_string(parsed.integer("dim", 1))}};
  const auto add = [&](const nn::MlpKeys& mlp) {
    if (mlp.units.find('.') != std::string::npos) return;  // an entry of a map is no hidden layer
    keys[mlp.units] = "[400, 400, 400]";
    if (!mlp.dropout.empty()) keys[mlp.dropout] = "0.1";
    if (!mlp.batch_norm.empty()) keys[mlp.batch_norm] = "true";
  };
  if (!type.fuxictr) add({.units = "hidden_units", .activations = "hidden_activations"});
  for (const nn::MlpKeys& mlp : type.mlps) add(mlp);
  for (const std::string& text : parsed.rest) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) throw InputError(cat("expected KEY=VALUE, found '", text, "'"));
    keys[text.substr(0, equals)] = text.substr(equals + 1);
  }
  std::string yaml;
  for (const auto& [key, value] : keys) yaml += cat(key, ": ", value, "\n");
  return read_experiment(yaml, "the keys of bench").model;
}

// FLEN reads three groups of fields, which the built-in shapes do not have: thirds.
void add_sources(data::FeatureMap& map) {
  const std::array<const char*, 3> sources = {"user", "item", "context"};
  for (const data::Field& field : map.fields) {
    if (!field.source.empty()) return;
  }
  for (size_t f = 0; f < map.fields.size(); ++f) map.fields[f].source = sources[f * 3 / map.fields.size()];
}

Problem problem_of(const Parsed& parsed, int64_t min_batch) {
  Problem problem;
  problem.batch = parsed.integer("batch", min_batch);
  problem.optimizer.embedding.l2 = 1e-5;
  if (parsed.has("config")) {
    for (const char* option : {"network", "students", "dim", "vocabulary"}) {
      if (is_given(parsed, option)) throw InputError(cat("--", option, ": the experiment of --config says that"));
    }
    const bool own_data = !is_given(parsed, "shape");
    const ExperimentConfig config = load_config(parsed, own_data);
    if (config.training.divide_tables) {
      throw InputError("bench holds whole tables; write divide_tables=false for the time of such a step");
    }
    problem.model = config.model;
    problem.optimizer = config.training.optimizer;
    if (!is_given(parsed, "batch")) problem.batch = config.training.batch_size;
    problem.map = own_data ? data::prepare(config.dataset, cache_directory(config)).map
                           : data::shape_feature_map(parsed.text("shape"));
    problem.shape = own_data ? cat("of ", config.dataset_id) : parsed.text("shape");
  } else {
    if (!parsed.has("network") && !parsed.rest.empty()) {
      throw InputError(
          cat("'", parsed.rest[0], "': keys are those of a network; give --network NAME, or --config DIR"));
    }
    problem.model = parsed.has("network") ? network_ensemble(parsed) : mlp_ensemble(parsed);
    problem.map = feature_map(parsed);
    problem.shape = shape_name(parsed);
    add_sources(problem.map);
  }
  if (problem.batch > kMaxRows) {
    throw InputError(cat("--batch: expected at most ", kMaxRows, ", found ", problem.batch));
  }
  return problem;
}

// "3 students" of one network, "3 students: product, mlp, mlp" of several.
std::string students_text(const EnsembleConfig& model) {
  std::string text = cat(model.students.size(), model.students.size() == 1 ? " student" : " students"), names;
  bool equal = true;
  for (const nn::NetworkConfig& student : model.students) {
    names += cat(names.empty() ? "" : ", ", student.network);
    equal = equal && student.network == model.students[0].network;
  }
  return equal ? cat(text, " of network ", model.students[0].network) : cat(text, ": ", names);
}

void print_kinds(const std::map<std::string, double>& kinds_ms) {
  for (const auto& [kind, ms] : kinds_ms) print("    %-28s %9.2f ms\n", kind.c_str(), ms);
}

// How a step of `problem` is timed.
StepBenchmarkConfig step_config(const Parsed& parsed, const Problem& problem) {
  StepBenchmarkConfig config;
  config.device = use_device(parsed);
  config.precision = ops::parse_precision(parsed.text("precision"));
  ops::check_precision(config.precision, config.device);
  config.batch_size = problem.batch;
  config.shards = parsed.integer("shards", 1);
  if (!std::has_single_bit(static_cast<uint64_t>(config.shards)))
    throw InputError(cat("--shards: expected a power of two, found ", config.shards));
  check_shards(config.shards, config.batch_size, config.device);
  config.seconds = static_cast<double>(parsed.integer("seconds", 1));
  config.model = problem.model;
  config.model.fused = config.model.fused && !parsed.flag("composed");
  config.optimizer = problem.optimizer;
  if (!parsed.has("config") || is_given(parsed, "optimizer")) {
    config.optimizer.kind = nn::parse_optimizer(parsed.text("optimizer"));
  }
  return config;
}

void print_traffic(const std::map<std::string, Traffic>& kinds) {
  if (kinds.empty()) return;
  print("  sent by the first process      %12s %14s %12s\n", "calls", "bytes", "ms");
  for (const auto& [kind, traffic] : kinds) {
    print("    %-28s %12.1f %14s %12.2f\n", kind.c_str(), traffic.calls, grouped(std::llround(traffic.bytes)).c_str(),
          1e3 * traffic.seconds);
  }
}

// The numbers of a step for programs.
nlohmann::ordered_json json_of(const StepBenchmark& r, const StepBenchmarkConfig& config) {
  nlohmann::ordered_json json{{"rows_per_s", r.rows_per_s},
                              {"step_ms", r.step_ms},
                              {"cpu_ms", r.cpu_ms},
                              {"gemm_ms", r.gemm_ms},
                              {"ratio", r.step_ms / r.gemm_ms},
                              {"peak_mib", r.peak_mib},
                              {"students", config.model.students.size()},
                              {"batch", config.batch_size},
                              {"shards", config.shards},
                              {"threads", num_threads()},
                              {"device", name_of(config.device)},
                              {"precision", ops::name_of(config.precision)},
                              {"optimizer", nn::entry_of(config.optimizer.kind).name}};
  if (!r.kinds_ms.empty()) json["optimizer_ms"] = r.kinds_ms.at("optimizer");
  if (r.traffic.empty()) return json;
  json["processes"] = Group::current().size();
  Traffic all;
  for (const auto& [kind, traffic] : r.traffic) all += traffic;
  json["sent_bytes"] = std::llround(all.bytes);
  json["communication_ms"] = 1e3 * all.seconds;
  return json;
}

int time_step(const Parsed& parsed) {
  const Problem problem = problem_of(parsed, 2);
  const StepBenchmarkConfig config = step_config(parsed, problem);
  const StepBenchmark r = benchmark_step(problem.map, config);
  const int processes = Group::current().size();
  print("%s, batch %lld, shape %s, %s%d threads, %s, %d steps\n", students_text(config.model).c_str(),
        static_cast<long long>(config.batch_size), problem.shape.c_str(),
        processes == 1 ? "" : cat(processes, " processes, each with ").c_str(), num_threads(),
        ops::gemm_backend_name(config.device), r.repetitions);
  print("  matrix products alone          %9.2f ms  (%.1f GFLOP, %.0f GFLOP/s)\n", r.gemm_ms, r.gemm_gflop,
        1e3 * r.gemm_gflop / r.gemm_ms);
  print("  step                           %9.2f ms%s\n", r.step_ms,
        r.kinds_ms.empty() ? "" : ", of which, in a profiled step:");
  print_kinds(r.kinds_ms);
  print_traffic(r.traffic);
  print("%s\n", json_of(r, config).dump().c_str());
  return kDone;
}

int bench_step(const Arguments& arguments) {
  po::options_description options;
  add_model_options(options);
  options.add_options()("optimizer", po::value<std::string>()->value_name("NAME")->default_value("adam"),
                        nn::optimizer_names().c_str());
  options.add_options()("precision", po::value<std::string>()->value_name("P")->default_value("f32"),
                        "type of the operands of matrix products: f32, tf32 (CUDA) or bf16");
  options.add_options()("composed", po::bool_switch(), "use the readable twins instead of the fused ops");
  options.add_options()("shards", po::value<int64_t>()->value_name("S")->default_value(1),
                        "pieces of a batch, a power of two (key `shards` of a configuration)");
  add_device_option(options);
  const auto parsed = parse({"bench step",
                             "[--network NAME] [--shape criteo|ml-1m|FILE] [--students M] [--batch B] [--threads N] "
                             "[key=value...]",
                             "Times a training step of KDEF: students 400-400-400 with batch norm and dropout 0.1,\n"
                             "dense Adam by default, L2 over all table rows, clipping. In turn with the steps it\n"
                             "times the matrix products of the formulas alone. Some of these a training step\n"
                             "avoids, since its first layer works on distinct ids. The last line is one JSON object:\n"
                             "rows_per_s, step_ms, cpu_ms (processor time of a step, all threads), gemm_ms,\n"
                             "ratio = step_ms / gemm_ms, peak_mib, and on the CPU optimizer_ms. With --config DIR\n"
                             "--expid ID, times a step of that experiment on random rows with the columns of its\n"
                             "data, or of --shape.\n\n"
                             "Under mpirun, --batch is the batch of all processes. The first process prints what it\n"
                             "sent at a step and how long that took, by kind; sent_bytes and communication_ms are\n"
                             "the sums. The matrix products are those of its part of the batch.",
                             Synopsis::Rest::overrides},
                            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  ProcessGroup processes;
  return processes.run([&] { return time_step(*parsed); });
}

nlohmann::ordered_json json_of(const PredictBenchmark& r, const PredictBenchmarkConfig& config) {
  return {{"rows_per_s", r.rows_per_s},
          {"batch_ms", r.batch_ms},
          {"gemm_ms", r.gemm_ms},
          {"ratio", r.gemm_ms / r.batch_ms},
          {"latency_p50_us", r.one_thread.p50},
          {"latency_p99_us", r.one_thread.p99},
          {"latency_p50_all_threads_us", r.all_threads.p50},
          {"latency_p99_all_threads_us", r.all_threads.p99},
          {"cpu_ms", r.cpu_ms},
          {"engine_ms", r.engine_ms},
          {"peak_mib", r.peak_mib},
          {"scorer_mib", r.scorer_mib},
          {"compiled", r.compiled},
          {"precision", ops::name_of(config.scorer.precision)},
          {"students", config.model.students.size()},
          {"batch", config.batch_size},
          {"threads", num_threads()}};
}

int bench_predict(const Arguments& arguments) {
  po::options_description options;
  add_model_options(options);
  options.add_options()("latency-rows", po::value<int64_t>()->value_name("N")->default_value(5000),
                        "rows to predict one by one");
  options.add_options()("fold-mib", po::value<int64_t>()->value_name("N")->default_value(64),
                        "memory of the scorer for known products of embeddings with first layers");
  options.add_options()("precision", po::value<std::string>()->value_name("P")->default_value("f32"),
                        "how the scorer keeps weights and tables: f32, bf16 or int8");
  const auto parsed = parse({"bench predict",
                             "[--network NAME] [--shape criteo|ml-1m|FILE] [--students M] [--batch B] [--threads N] "
                             "[key=value...]",
                             "Times predictions of students 400-400-400 with batch norm, from encoded rows in memory.\n"
                             "It measures the scorer, the engine, and the matrix products of the engine's forward\n"
                             "pass alone, in turn. Then the scorer predicts single rows, with one thread and with all\n"
                             "threads. The last line is one JSON object. Of the scorer: rows_per_s, batch_ms,\n"
                             "cpu_ms (processor time of a batch), gemm_ms, ratio = gemm_ms / batch_ms,\n"
                             "latency_p50_us and latency_p99_us (one thread), ..._all_threads_us (all threads),\n"
                             "scorer_mib (packed weights and known products), and compiled (false where the scorer\n"
                             "calls the engine). Of the engine: engine_ms and peak_mib.",
                             Synopsis::Rest::overrides},
                            options, arguments);
  if (!parsed) return kDone;
  use_threads(*parsed);
  const Problem problem = problem_of(*parsed, 1);
  PredictBenchmarkConfig config;
  config.batch_size = problem.batch;
  config.seconds = static_cast<double>(parsed->integer("seconds", 1));
  config.latency_rows = parsed->integer("latency-rows", 1);
  config.scorer.fold_mib = parsed->integer("fold-mib", 0);
  config.scorer.precision = ops::parse_stored(parsed->text("precision"));
  config.model = problem.model;
  const PredictBenchmark r = benchmark_predict(problem.map, config);
  print("%s, batch %lld, shape %s, %d threads, %s, %d batches\n", students_text(config.model).c_str(),
        static_cast<long long>(config.batch_size), problem.shape.c_str(), num_threads(), ops::gemm_backend_name(),
        r.repetitions);
  print("  matrix products alone          %9.2f ms  (%.1f GFLOP, %.0f GFLOP/s)\n", r.gemm_ms, r.gemm_gflop,
        1e3 * r.gemm_gflop / r.gemm_ms);
  print("  batch, by the scorer           %9.2f ms%s\n", r.batch_ms,
        r.compiled ? "" : "; the network is not compiled: the engine");
  print("  batch, by the engine           %9.2f ms; on one thread, profiled:\n", r.engine_ms);
  print_kinds(r.kinds_ms);
  print("  one row, one thread            %9.1f us median, %.1f us at 99 %%\n", r.one_thread.p50, r.one_thread.p99);
  print("  one row, %2d threads            %9.1f us median, %.1f us at 99 %%\n", num_threads(), r.all_threads.p50,
        r.all_threads.p99);
  print("%s\n", json_of(r, config).dump().c_str());
  return kDone;
}

constexpr struct {
  const char* what;
  int (*run)(const Arguments&);
  bool together = false;  // several processes may do it together
} kBenchmarks[] = {
    {"step", bench_step, true}, {"predict", bench_predict}, {"prepare", bench_prepare}, {"load", bench_load}};

}  // namespace

int bench(const Arguments& arguments) {
  for (const auto& benchmark : kBenchmarks) {
    if (!arguments.empty() && arguments[0] == benchmark.what) {
      if (!benchmark.together) check_alone(cat("bench ", benchmark.what));
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
