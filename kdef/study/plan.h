// The plan of a sweep: which experiments are trained, in which order, in which directories, and which rows of the table
// they fill.
//
// A sweep varies keys of an experiment. Each key is an axis with its values; the plan is their product, over seeds. A
// tuner file of FuxiCTR (kdef/config/tuner.h) gives a plan of the same kind, with FuxiCTR's names and order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kdef/config/config.h"

namespace kdef {

/// A key of the configuration that varies. Values stand as behind "key=" on the command line. The values of num_student
/// count all students: an experiment that lists `students` takes multiples of the list's length.
struct Axis {
  std::string key;
  std::vector<std::string> values;

  /// The heading of a table's column: "students" for num_student, otherwise the key.
  std::string title() const;
};

Axis students_axis(const std::vector<int64_t>& numbers);
Axis ensembles_axis(const std::vector<EnsembleKind>& kinds);
/// "key=v1,v2": a comma inside of brackets, braces or quotes belongs to its value. Throws InputError for another text.
Axis parse_axis(const std::string& text);

struct SweepConfig {
  std::string config_dir, experiment;  // as load_experiment()
  std::vector<std::string> overrides;  // key=value, of every run
  std::vector<Axis> axes;              // in the order of the table's columns; without the seed
  std::vector<uint64_t> seeds;         // empty: seed_count of them, counted up from the configuration's seed
  int64_t seed_count = 1;
  std::string directory;
};

struct SweepRun {
  std::string name;  // of its directory: "kdef-M3-seed2024", "kdef-M3-learning_rate=0.01-seed2024"
  /// The rows of the table in which the run counts, each as one index per axis. There are several for one student,
  /// which is the same network in several kinds of ensembles (trained_as).
  std::vector<std::vector<size_t>> rows;
  ExperimentConfig config;
};

/// An experiment that cannot be loaded, and why.
struct RefusedRun {
  std::string name, reason;
};

struct SweepPlan {
  std::string experiment, dataset;  // for headings
  std::vector<Axis> axes;           // the columns of the table
  std::vector<SweepRun> runs;       // in the order of training
  std::vector<RefusedRun> refused;  // beside them, of a tuner file
  bool has_named_runs = false;      // the names are ids that a reader looks for; the table shows them
};

/// The runs of a sweep in order of increasing cost: by number of students, then in the order of the other axes, then by
/// seed. Throws InputError if an axis or a value is given twice, if an override sets what an axis or a seed sets, if
/// the experiment cannot have such a number of students, if load_experiment() refuses a setting, and if two runs have
/// the same settings.
///
/// A run whose data set is prepared otherwise than that of the experiment, since an axis sets min_categr_count or the
/// like, gets a data set, and so a cache, of its own: ID_<8 hexadecimal digits of its settings>.
SweepPlan plan_sweep(const SweepConfig& config);

}  // namespace kdef
