// What a sweep has found so far, as a table: a row for every choice of values, mean and deviation over seeds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kdef/run/record.h"
#include "kdef/study/plan.h"
#include "kdef/study/summary.h"

namespace kdef {

struct SweepRow {
  std::vector<std::string> values;  // of the axes
  std::vector<std::string> runs;    // the names of the finished runs
  Summary summary;                  // over seeds
};

struct SweepTable {
  std::string experiment, dataset;
  std::vector<std::string> columns;  // the titles of the axes
  bool has_named_runs = false;       // SweepPlan::has_named_runs
  bool on_test = true;  // the figures are of test data; false: of validation data, since a run has no test data
  MetricList metrics = metrics_of(default_task());  // measured by some run; the first is the main metric
  size_t finished = 0, planned = 0;
  std::vector<SweepRow> rows;        // choices with a finished run, the last axis fastest
  std::vector<RefusedRun> failures;  // runs that could not be trained, those of the plan first
};

/// The table of a plan. `records` has one entry per planned run, empty for runs that are not finished.
SweepTable sweep_table(const SweepPlan& plan, const std::vector<std::optional<RunRecord>>& records);

/// One line per row. Numbers are exact; undefined values are empty. Deviations over seeds are those of the sample, the
/// students' deviation within a run is that of the population.
std::string to_csv(const SweepTable& table);
std::string to_markdown(const SweepTable& table);

}  // namespace kdef
