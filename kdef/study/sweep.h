// A scaling study: one experiment over kinds of ensembles, numbers of students and seeds, and a table of the results.
//
// Each run has a directory named ENSEMBLE-MSTUDENTS-seedSEED (sweep_files.h); the table is replaced as a whole after
// every run. A sweep that was stopped in any way continues when it is started again.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kdef/run/run.h"
#include "kdef/study/summary.h"
#include "kdef/study/sweep_files.h"

namespace kdef {

struct SweepConfig {
  std::string config_dir, experiment;  // as load_experiment()
  std::vector<std::string> overrides;  // key=value, of every run
  std::vector<EnsembleKind> ensembles;
  std::vector<int64_t> students;
  std::vector<uint64_t> seeds;  // empty: seed_count of them, counted up from the configuration's seed
  int64_t seed_count = 1;
  std::string directory;
};

struct SweepRun {
  std::string name;  // of its directory: "kdef-M3-seed2024"
  /// The kinds of ensembles in whose rows of the table the run counts: several for one student (trained_as).
  std::vector<EnsembleKind> ensembles;
  ExperimentConfig config;
};

/// The runs of a sweep in order of increasing cost: by number of students, then in the order of `ensembles` and seeds.
/// Throws InputError if the experiment cannot have such a number of students, or if an override sets what the sweep
/// sets.
std::vector<SweepRun> plan_sweep(const SweepConfig& config);

enum class SweepState { open, started, finished };
const char* name_of(SweepState state);

struct SweepRow {
  EnsembleKind ensemble;
  int64_t students = 0;
  Summary summary;  // over seeds
};

/// What a sweep has found so far.
struct SweepTable {
  std::string experiment, dataset;
  bool on_test = true;  // the figures are of test data; false: of validation data, since a run has no test data
  MetricList metrics = metrics_of(default_task());  // measured by some run; the first is the main metric
  size_t finished = 0, planned = 0;
  std::vector<SweepRow> rows;         // combinations with a finished run, by ensemble and students
  std::vector<std::string> failures;  // one sentence per run that could not be trained
};
/// The table of a plan. `records` has one entry per planned run, empty for runs that are not finished.
SweepTable sweep_table(const std::vector<SweepRun>& plan, const std::vector<std::optional<RunRecord>>& records);
/// One line per row. Numbers are exact; undefined values are empty. Deviations over seeds are those of the sample, the
/// students' deviation within a run is that of the population.
std::string to_csv(const SweepTable& table);
std::string to_markdown(const SweepTable& table);

class Sweep {
 public:
  /// Plans the runs and reads those that the directory already holds; writes nothing. Throws InputError if such a run
  /// has other settings.
  explicit Sweep(const SweepConfig& config);

  const SweepFiles& files() const { return files_; }
  const std::vector<SweepRun>& plan() const { return plan_; }
  SweepState state(size_t run) const { return states_[run]; }
  std::string run_directory(size_t run) const { return files_.run(plan_[run].name); }
  /// Estimated seconds of training that are left, from the time per student of the finished runs; nothing without any.
  std::optional<double> seconds_left() const;
  SweepTable table() const;

  /// Trains the unfinished runs, one after the other. `each` holds the options of every run; its directory, resume and
  /// overwrite are set here. `starting` is called before each run. Returns false if stop_requested ended the sweep. A
  /// run whose loss or gradients are not finite is recorded as failed, and the sweep continues.
  bool run(const RunOptions& each, const std::function<void(size_t)>& starting);

 private:
  void read(size_t run);  // sets the state and the record of a run from its directory
  void write_table() const;

  SweepFiles files_;
  std::vector<SweepRun> plan_;
  std::vector<SweepState> states_;
  std::vector<std::optional<RunRecord>> records_;
  std::vector<std::string> failures_;
};

}  // namespace kdef
