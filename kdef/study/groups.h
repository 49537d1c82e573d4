// Runs that differ in their seed alone, grouped and summarized.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kdef/study/summary.h"

namespace kdef {

struct RunGroup {
  /// Of the first run, as labels: "KDEF", "3 x mlp 400-400". Groups of the same raw files have the same data set.
  std::string dataset, experiment, ensemble, networks;
  std::string kinds;  // networks without their number
  EnsembleKind kind = EnsembleKind::kdef;
  size_t students = 0;
  size_t experiments = 1;  // how many experiments its runs are of
  /// The keys in which groups with these labels differ, and the values of this group. All groups of a data set have the
  /// same keys.
  std::map<std::string, std::string> settings;
  std::vector<size_t> runs;            // all, by their place in the list that was grouped
  bool on_test = true;                 // the summary is of test data; false: a run of this data set has none
  Summary summary;                     // of the finished runs
  std::vector<std::string> differing;  // names and places of the data in which its runs differ
  size_t repeated = 0;                 // runs whose seed another run has, if nothing differs
};

/// kOneNetwork (labels.h), or the label of its kind of ensemble.
std::string ensemble_name(const RunGroup& group);

/// Groups in the order of their first runs; those of a data set stand together, and are all summarized on the same kind
/// of data.
std::vector<RunGroup> group_runs(const std::vector<RunRecord>& runs);

}  // namespace kdef
