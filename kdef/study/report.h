// Runs as one HTML page: self-contained, readable in light and dark, on a phone and on paper. It has no scripts, and a
// content security policy that forbids browsers to run or fetch any.
#pragma once

#include <string>
#include <vector>

#include "kdef/run/record.h"

namespace kdef {

/// What `kdef report` shows.
struct Report {
  std::vector<RunRecord> runs;     // by data set, ensemble, number of students, seed
  std::vector<std::string> notes;  // runs of a sweep that could not be read, a sentence each
};

/// Reads run directories, and the runs in DIR/runs/NAME of sweep directories. Throws InputError for a directory that is
/// neither, and for a sweep without any run that can be read.
Report read_report(const std::vector<std::string>& directories);

/// Runs that differ in their seed alone, and how good they are: mean and standard deviation (of the sample; NaN for one
/// run) over the finished ones.
struct Group {
  std::string dataset, experiment, ensemble, networks;  // as labels: "KDEF", "3 x mlp 400-400-400"
  std::string kinds;                                    // networks without their number
  size_t students = 0;
  bool heads_trained = true;  // false: students of a concat ensemble, whose own outputs mean nothing
  std::vector<size_t> runs;   // all, by their place in Report::runs
  size_t finished = 0;
  bool on_test = true;           // of the test data; false: some run has none, and all are of validation data
  MetricList measured;           // by some finished run
  PerMetric<Statistic> metrics;  // of the ensemble
  Statistic gain;                // the ensemble's main metric less its students' mean
  Statistic student_mean, student_weakest;  // of the main metric
  Statistic abundance;                      // information abundance of the last hidden layer, mean over students
  std::vector<std::string> differing;       // keys beside the seed in which its runs differ
  size_t repeated = 0;                      // runs of a seed that another has, if nothing differs
};
std::vector<Group> group_runs(const std::vector<RunRecord>& runs);

std::string to_html(const Report& report);

}  // namespace kdef
