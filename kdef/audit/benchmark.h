// The speed of a training step and of a prediction, beside the cost of their matrix products alone.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/counted_group.h"
#include "data/schema.h"
#include "kdef/method/ensemble.h"
#include "kdef/serve/scorer.h"
#include "nn/optimizer/optimizer.h"
#include "ops/gemm/gemm.h"

namespace kdef {

struct StepBenchmark {
  double step_ms = 0;  // median of the repetitions
  double cpu_ms = 0;   // of a step, the processor time of all threads: median
  double gemm_ms = 0;  // the matrix products of a step alone, in the same run: median
  double rows_per_s = 0;
  double gemm_gflop = 0;  // of one step
  double peak_mib = 0;    // of tensor memory
  int repetitions = 0;
  std::map<std::string, double> kinds_ms;  // of one process on the CPU: by kind of work, mean of profiled steps
  std::map<std::string, Traffic> traffic;  // of a group: what this member sent, mean of the repetitions
};

struct StepBenchmarkConfig {
  EnsembleConfig model;
  nn::OptimizerConfig optimizer;
  Device device = kCpu;
  ops::GemmPrecision precision = ops::GemmPrecision::f32;
  int64_t batch_size = 10000;
  int64_t shards = 1;  // TrainingConfig::shards
  int warmup = 2;
  double seconds = 10;  // about how long to measure, at least 5 steps
  uint64_t seed = 1;
};

/// Times steps on random rows with the fields of `map`, from batches in host memory. Ids follow Zipf's law; one row in
/// four is a click. In a group of processes (Group::current()) every member calls this: batch_size is the batch of all,
/// of which each member computes its part, and the matrix products alone are those of its part.
StepBenchmark benchmark_step(const data::FeatureMap& map, const StepBenchmarkConfig& config);

struct PredictBenchmark {
  double batch_ms = 0;   // the scorer's time for a batch: median of the repetitions
  double cpu_ms = 0;     // of the same, the processor time of all threads: median
  double engine_ms = 0;  // predict() of the same batch by the engine, in the same run: median
  double gemm_ms = 0;    // the matrix products of its forward pass alone, in the same run: median
  double rows_per_s = 0;
  double gemm_gflop = 0;  // of one batch
  double peak_mib = 0;    // of tensor memory, by the engine
  double scorer_mib = 0;  // packed weights and tables of products
  int repetitions = 0;
  bool compiled = false;  // false: the scorer asks the engine
  struct Latency {        // the scorer's for one row, in microseconds
    double p50 = 0, p99 = 0;
  };
  Latency one_thread, all_threads;
  std::map<std::string, double> kinds_ms;  // of a batch by the engine on one thread, by kind of work
};

struct PredictBenchmarkConfig {
  EnsembleConfig model;
  int64_t batch_size = 10000;
  ScorerOptions scorer;
  int64_t latency_rows = 5000;  // each is predicted alone, with all threads and with one
  double seconds = 10;          // about how long to measure batches, at least 5 of them
  uint64_t seed = 1;
};

/// Times predictions of random rows as above, from encoded rows in memory to probabilities: those of a Scorer
/// (kdef/serve/scorer.h), and in turn those of the engine. The profile observes the engine.
PredictBenchmark benchmark_predict(const data::FeatureMap& map, const PredictBenchmarkConfig& config);

}  // namespace kdef
