// Runs that differ in their seed alone, grouped and summarized.
#pragma once

#include <string>
#include <vector>

#include "kdef/study/summary.h"

namespace kdef {

struct RunGroup {
  std::string dataset, experiment, ensemble, networks;  // as labels: "KDEF", "3 x mlp 400-400-400"
  std::string kinds;                                    // networks without their number
  EnsembleKind kind = EnsembleKind::kdef;
  size_t students = 0;
  std::vector<size_t> runs;            // all, by their place in the list that was grouped
  bool on_test = true;                 // the summary is of test data; false: a run of this data set has none
  Summary summary;                     // of the finished runs
  std::vector<std::string> differing;  // keys other than the seed in which its runs differ
  size_t repeated = 0;                 // runs whose seed another run has, if nothing differs
};

/// Groups in the order of their first runs. The groups of a data set are all summarized on the same kind of data.
std::vector<RunGroup> group_runs(const std::vector<RunRecord>& runs);

}  // namespace kdef
