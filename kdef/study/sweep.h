// A scaling study: the same experiment over kinds of ensembles, numbers of students and seeds, and one table of it.
//
// DIR/runs/ENSEMBLE-MSTUDENTS-seedSEED is a run directory each (kdef/run/run.h); DIR/sweep.csv and DIR/sweep.md are the
// table, replaced as a whole after every run. A sweep that was stopped in any way goes on when it is started again.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kdef/run/record.h"
#include "kdef/run/run.h"

namespace kdef {

struct SweepConfig {
  std::string config_dir, experiment;  // as load_experiment()
  std::vector<std::string> overrides;  // key=value, of every run
  std::vector<EnsembleKind> ensembles;
  std::vector<int64_t> students;
  std::vector<uint64_t> seeds;  // empty: seed_count of them, from that of the configuration upwards
  int64_t seed_count = 1;
  std::string directory;
};

struct SweepRun {
  std::string name;  // of its directory in DIR/runs: "kdef-M3-seed2024"
  /// Kinds in whose rows of the table it counts. One student is the same network under kdef, mean and sum: the ensemble
  /// is the student, L_teach is 0 with its gradient, L_peer is absent. It is trained once, as mean. (Trainings of their
  /// own would differ where batch normalisation is: biases in front of it have a true gradient of 0, of whose rounding
  /// Adam makes full steps.)
  std::vector<EnsembleKind> ensembles;
  ExperimentConfig config;
};

/// The runs of a sweep in order of increasing cost: by students, then as ensembles and seeds are listed. Throws
/// InputError where the experiment cannot have that many students, and for overrides of what the sweep sets itself.
std::vector<SweepRun> plan_sweep(const SweepConfig& config);

enum class SweepState { open, started, finished };
const char* name_of(SweepState state);

struct SweepRow {
  EnsembleKind ensemble;
  int64_t students = 0;
  size_t seeds = 0;              // finished runs
  PerMetric<Statistic> metrics;  // over seeds, of the ensemble
  /// The table's main metric over the students of a run (student_spread), then over seeds. NaN of concat, whose
  /// students' output layers are untrained.
  Statistic student_mean, student_weakest, student_deviation;
  Statistic abundance;  // information abundance of the last hidden layer, mean over students
  std::optional<int64_t> parameters;
  Statistic seconds;  // of training
};

/// What a sweep has found so far.
struct SweepTable {
  std::string experiment, dataset;
  bool on_test = true;  // of the test data; false: some run has none, and all figures are of validation data
  MetricList metrics = metrics_of(default_task());  // that some run has; the first is the main metric
  size_t finished = 0, planned = 0;
  std::vector<SweepRow> rows;         // those with a finished run, by ensemble and students
  std::vector<std::string> failures;  // runs that cannot be trained, a sentence each
};
/// `records` as the plan, without what is not finished.
SweepTable sweep_table(const std::vector<SweepRun>& plan, const std::vector<std::optional<RunRecord>>& records);
/// One line per row; numbers to the last digit, what is undefined left empty. Deviations over seeds are those of the
/// sample, the students' deviation within a run is that of the population.
std::string to_csv(const SweepTable& table);
std::string to_markdown(const SweepTable& table);

class Sweep {
 public:
  /// Plans, and looks at what its directory holds; writes nothing. Throws InputError for a run there of other settings.
  explicit Sweep(const SweepConfig& config);

  const std::vector<SweepRun>& plan() const { return plan_; }
  SweepState state(size_t run) const { return states_[run]; }
  std::string run_directory(size_t run) const { return directory_ + "/runs/" + plan_[run].name; }
  /// Seconds of training that are left, judged by the runs that are finished: time per student. Nothing without any.
  std::optional<double> seconds_left() const;
  SweepTable table() const;

  /// Trains what is not finished, one run after the other. `each` is what every run is given; its directory, resume and
  /// overwrite are set here. `starting` is told of each run before it begins. False: stop_requested said so.
  /// A run whose loss or gradients are not finite is put down as failed, and the sweep goes on.
  bool run(const RunOptions& each, const std::function<void(size_t)>& starting);

 private:
  void look(size_t run);
  void write_table() const;

  std::string directory_;
  std::vector<SweepRun> plan_;
  std::vector<SweepState> states_;
  std::vector<std::optional<RunRecord>> records_;
  std::vector<std::string> failures_;
};

}  // namespace kdef
