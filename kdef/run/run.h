// A run: trains an experiment into a directory, and opens such a directory, or a model file made of it, to predict.
//
// kdef/train/run_files.h names the files of such a directory.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "data/encode/encoder.h"
#include "data/encode/prepare.h"
#include "kdef/config/build.h"
#include "kdef/config/config.h"
#include "kdef/measure/baseline.h"
#include "kdef/run/data_summary.h"
#include "kdef/train/trainer.h"

namespace kdef {

/// The folder of the encoded data: data_root/dataset_id, or the folder `kdef` in it where FuxiCTR has prepared its own
/// data there. InputError where a name is a path that leads out of its folder, as ".." does.
std::string cache_directory(const ExperimentConfig& config);
/// The default run directory: model_root/dataset_id/experiment. Errors as above.
std::string default_run_directory(const ExperimentConfig& config);

struct RunOptions {
  std::string directory;
  bool resume = false;  // continue from the checkpoint in the directory
  /// Replace files of these names in the directory (RunFiles). False: their presence is an InputError that names them,
  /// unless they are the beginning of a training with the same configuration that ended before its first checkpoint.
  bool overwrite = false;
  Device device = kCpu;
  std::function<void(const data::Progress&)> preparing = {};
  /// Called before the first step, when data and model are ready.
  std::function<void(const data::Prepared&, const Ensemble&)> ready = {};
  /// Called then with what data.json holds, and behind it, where the configuration asks for it, with the baseline.
  std::function<void(const std::vector<ColumnSummary>&)> summarized = {};
  std::function<void(const Baseline&)> baseline = {};
  TrainingListener listener;
};

/// Prepares the data where its cache is missing or stale, trains, evaluates. Errors are those of prepare() and train();
/// nothing is written before the configuration and the data have been found usable. In a group of processes all members
/// call it with equal arguments. The first member writes the run's files, and its listener and `ready` are called. Of
/// the other members only `preparing` and `stop_requested` are called.
TrainingResult run_experiment(const ExperimentConfig& config, const RunOptions& options);

class ModelFile;  // kdef/run/model_file.h

/// A trained model, opened to predict: of the directory of a finished or running run, or of a model file.
class Run {
 public:
  /// A directory or a model file. Throws InputError where a directory is not a run or has no model yet, and where a
  /// file is no model file or is damaged.
  explicit Run(const std::string& path, Device device = kCpu);
  /// The bytes of a model file, which begin at a multiple of 8 and outlive the run; `name` is for messages. The weights
  /// are copied; those of a file are used where they lie, and the model keeps the file.
  static Run of_bytes(std::string_view bytes, const std::string& name, Device device = kCpu);

  const ExperimentConfig& config() const { return config_; }
  const data::Encoder& encoder() const { return encoder_; }
  const Ensemble& model() const { return *model_; }
  /// For who keeps one without the other. The run has none afterwards.
  data::Encoder take_encoder() && { return std::move(encoder_); }
  std::unique_ptr<Ensemble> take_model() && { return std::move(model_); }

 private:
  // What a model is made of, wherever it comes from.
  struct Source;
  Run(Source source, Device device);

  ExperimentConfig config_;
  data::Encoder encoder_;  // of a model file: it keeps the file, whose words it reads
  std::unique_ptr<Ensemble> model_;
};

}  // namespace kdef
