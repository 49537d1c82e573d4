// What long work on a data set reports while it runs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace kdef::data {

struct Progress {
  std::string stage;    // names the work, as "counting train.csv"
  int64_t rows = 0;     // rows of this stage that are done
  double fraction = 0;  // of this stage, in [0, 1]; below 0: unknown
};

/// Receives reports, on the thread that began the work. It may throw to cancel the work.
using ProgressListener = std::function<void(const Progress&)>;

}  // namespace kdef::data
