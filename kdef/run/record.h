// The record of a run, read from its directory to be shown and compared. Nothing here opens the data.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "kdef/config/config.h"
#include "kdef/measure/baseline.h"
#include "kdef/measure/collapse.h"
#include "kdef/measure/importance.h"
#include "kdef/run/data_summary.h"
#include "kdef/train/trainer.h"

namespace kdef {

struct RunRecord {
  std::string directory;
  ExperimentConfig config;
  std::optional<int64_t> parameters, model_step;  // of model.safetensors, and the step after which it was saved
  std::string exported;                           // "student 2 of 3 of DIR" of kdef export; otherwise empty
  std::string imported;                           // the file of kdef import; otherwise empty
  /// Whether a training made the model here.
  bool is_trained_here() const { return exported.empty() && imported.empty(); }
  std::vector<TrainingListener::Evaluated> evaluations;
  std::optional<Evaluation> valid, test;  // of the best model
  std::optional<CollapseReport> collapse;
  std::vector<CollapseRecord> collapse_history;
  std::optional<DataSummary> data;
  std::optional<Baseline> baseline;
  std::optional<Importance> importance;
  bool running = false;  // a training writes into the directory
  /// One sentence per file that is missing or damaged, with the command that makes it.
  std::vector<std::string> notes;

  bool finished() const { return valid.has_value(); }
  /// The evaluation on test data; if there is none, on validation data.
  const Evaluation& best() const { return test ? *test : *valid; }
};

/// Throws InputError if the configuration is missing or damaged. Any other missing or damaged file becomes a note.
RunRecord read_run(const std::string& directory);

/// The complete lines of metrics.jsonl. Null is NaN. Throws InputError with the number of a damaged line.
std::vector<TrainingListener::Evaluated> read_metrics(const std::string& path);

/// Mean, and standard deviation of the sample (NaN for one value), over the finite values.
struct Statistic {
  double mean = std::numeric_limits<double>::quiet_NaN(), deviation = mean;
  std::vector<double> values = {};  // the finite ones, in the order given
};
Statistic statistic(const std::vector<double>& values);

/// A path quoted as one word of a shell command.
std::string shell_word(const std::string& text);

}  // namespace kdef
