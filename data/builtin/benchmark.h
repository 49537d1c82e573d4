// Benchmarks of preparing raw rows and of loading encoded rows.
#pragma once

#include <cstdint>
#include <string>

namespace kdef::data {

struct DataBenchmark {
  double seconds = 0;      // of one repetition, wall clock: median
  double cpu_seconds = 0;  // of one repetition, user and system, all threads: median
  double rows_per_s = 0;
  double mb_per_s = 0;  // 10^6 bytes of the files read
  double peak_mib = 0;  // resident memory of the process, with the parts of mapped files that it read
  int repetitions = 0;
};

struct DataBenchmarkConfig {
  std::string folder;  // where the data is written, into a new folder that is removed afterwards
  std::string shape = "criteo";
  int64_t rows = 1000000;
  int64_t batch_size = 10000;  // loading
  int64_t window = 0;          // loading: the window of Loader (batching.h), in rows
  bool cold = false;           // loading: before each epoch, the system drops the file from its cache in memory
  double seconds = 10;         // about how long to measure; there are at least 3 repetitions
  uint64_t seed = 1;
};

/// Times prepare() of synthetic rows (synth.h), tab-separated, 8 : 1 : 1 in train, valid and test; the cache is made
/// again in each repetition. The first repetition brings the files into memory and does not count.
DataBenchmark benchmark_prepare(const DataBenchmarkConfig& config);

/// Times whole epochs of shuffled batches (batching.h) of random ids of the shape's columns, which the caller
/// reads once. The first epoch brings the file into memory and does not count; the drawing of the order counts.
DataBenchmark benchmark_load(const DataBenchmarkConfig& config);

}  // namespace kdef::data
