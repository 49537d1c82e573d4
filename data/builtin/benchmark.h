// How fast raw rows are prepared, and encoded rows loaded.
#pragma once

#include <cstdint>
#include <string>

namespace kdef::data {

struct DataBenchmark {
  double seconds = 0;      // of one repetition, wall clock: median
  double cpu_seconds = 0;  // of one repetition, user and system, all threads: median
  double rows_per_s = 0;
  double mb_per_s = 0;  // 10^6 bytes of the files read
  double peak_mib = 0;  // of the process's resident memory, the parts of mapped files that it touched included
  int repetitions = 0;
};

struct DataBenchmarkConfig {
  std::string folder;  // where the data is made, in a folder of its own that is removed afterwards
  std::string shape = "criteo";
  int64_t rows = 1000000;
  int64_t batch_size = 10000;  // loading
  int64_t window = 0;          // loading: rows shuffled together, as Loader takes it
  bool cold = false;           // loading: each epoch from disk, the system's copy in memory dropped before
  double seconds = 10;         // measuring goes on for about this long, at least 3 repetitions
  uint64_t seed = 1;
};

/// Times prepare() of made-up rows (synth.h), tab-separated, 8 : 1 : 1 in train, valid and test; the cache is made anew
/// each time. The first, which brings the files into memory, does not count.
DataBenchmark benchmark_prepare(const DataBenchmarkConfig& config);

/// Times whole epochs of shuffled batches (batching.h) of random ids of the shape's columns, each batch read once by
/// the taker. The first epoch, which brings the file into memory, does not count; drawing the order does.
DataBenchmark benchmark_load(const DataBenchmarkConfig& config);

}  // namespace kdef::data
