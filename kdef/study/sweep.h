// A scaling study, a grid over keys, a tuner file: many trainings in one directory, and a table of their results.
//
// Each run has a directory of its own (sweep_files.h); the table is replaced as a whole after every run. A sweep that
// was stopped in any way continues when it is started again. Each data set is prepared once, before the first training;
// all trainings of a data set share its cache.
//
// Trainings go one after the other in this process, or several at a time as processes of their own. Threads would not
// do for the latter: the number of threads and the pool of OpenMP belong to a process, and a training that is killed
// for its memory, or that fails inside a driver, would end the others. A process computes what the same training
// computes alone, bit for bit: results do not depend on the number of threads.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/io/child_process.h"
#include "kdef/run/run.h"
#include "kdef/study/plan.h"
#include "kdef/study/sweep_files.h"
#include "kdef/study/sweep_table.h"

namespace kdef {

enum class SweepState { open, started, finished };
const char* name_of(SweepState state);

enum class RunOutcome { finished, interrupted, failed };

/// Why a run could not be trained.
struct RunFailure {
  enum class Kind { check, input, system };  // CheckError, InputError, anything else; the last is the gravest
  size_t run;
  Kind kind;
  std::string reason;
};

/// Trainings as processes.
struct SweepJobs {
  int count = 1;        // at a time
  std::string program;  // the file to run
  /// The arguments, argv[0] included, to train what `config` holds (a run's config.yaml) into `directory`. `job` is the
  /// place from 0 to count - 1 that the training takes.
  std::function<std::vector<std::string>(const std::string& config, const std::string& directory, bool resume, int job)>
      command;
  std::function<void(const data::Progress&)> preparing = {};
  std::function<bool()> stop_requested = [] { return false; };
  std::function<void(size_t run)> starting = [](size_t) {};
  std::function<void(size_t run, RunOutcome outcome)> ended = [](size_t, RunOutcome) {};
  /// Called several times a second with the runs that are being trained.
  std::function<void(const std::vector<size_t>& runs)> waiting = [](const std::vector<size_t>&) {};
};

class Sweep {
 public:
  /// Plans the runs and reads those that the directory already holds; writes nothing. Throws InputError if such a run
  /// has other settings.
  explicit Sweep(const SweepConfig& config);
  Sweep(SweepPlan plan, const std::string& directory);

  const SweepFiles& files() const { return files_; }
  const std::vector<SweepRun>& runs() const { return plan_.runs; }
  const SweepPlan& plan() const { return plan_; }
  SweepState state(size_t run) const { return states_[run]; }
  /// The record of a finished run.
  const std::optional<RunRecord>& record(size_t run) const { return records_[run]; }
  std::string run_directory(size_t run) const { return files_.run(plan_.runs[run].name); }
  /// Estimated seconds of training that are left, one run after the other, from the time per student of the finished
  /// runs; nothing without any.
  std::optional<double> seconds_left() const;
  SweepTable table() const;
  /// The runs that failed since run() or run_jobs() was called.
  const std::vector<RunFailure>& failures() const { return failures_; }

  /// Trains the unfinished runs, one after the other. `each` holds the options of every run; its directory, resume and
  /// overwrite are set here. `starting` is called before each run. Returns false if stop_requested ended the sweep. A
  /// run that fails is recorded in failures(), and the sweep continues. Throws what prepare() throws, and SystemError
  /// of a run or of the table: the next run would meet the same disk or device.
  bool run(const RunOptions& each, const std::function<void(size_t)>& starting);
  /// Does the same with processes; a SystemError of a run is that of its process, and recorded. Where it ends, all of
  /// them have ended: asked to if stop_requested, killed if an exception leaves. Their output goes to
  /// SweepFiles::log().
  bool run_jobs(const SweepJobs& jobs);

 private:
  struct Job;
  using Places = std::vector<std::unique_ptr<Job>>;  // of jobs that run at the same time; empty where none runs

  void read(size_t run);  // sets the state and the record of a run from its directory
  void begin(const std::function<void(const data::Progress&)>& preparing);
  std::optional<size_t> next_open(size_t from) const;
  void fail(size_t run, RunFailure::Kind kind, const std::string& reason);
  bool train_here(size_t run, const RunOptions& each);
  std::unique_ptr<Job> start(size_t run, int place, const SweepJobs& jobs);
  RunOutcome finish(const Job& job, const ProcessEnd& end);
  bool collect(Places& places, const SweepJobs& jobs);
  size_t fill(Places& places, size_t next, const SweepJobs& jobs);
  void write_table() const;

  SweepFiles files_;
  SweepPlan plan_;
  std::vector<SweepState> states_;
  std::vector<std::optional<RunRecord>> records_;
  std::vector<RunFailure> failures_;
};

}  // namespace kdef
