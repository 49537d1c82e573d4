// The configuration of an experiment. The format is the YAML of FuxiCTR, as the authors of KDEF use it, with further
// keys.
//
// A configuration directory holds model_config.yaml (or model_config/*.yaml): the entry `Base` and one per experiment,
// and dataset_config.yaml (or dataset_config/*.yaml): one entry per data set. The names may end in .yml. Later settings
// win:
//   built-in default < Base < experiment < the data set's entry < command line.
// keys_markdown() lists every key with its type, default and meaning, from the table that the loader uses.
//
// Relative paths start at the current directory. A relative data_root, train_data, valid_data or test_data that does
// not exist there is taken from the configuration directory, or from the directory above it, if it exists there.
//
// Errors are InputErrors "FILE:LINE:COLUMN: key 'KEY': expected ..., found ...".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/schema.h"
#include "kdef/method/ensemble.h"
#include "kdef/train/trainer.h"
#include "nn/networks/network.h"

namespace kdef {

/// One student. `dropout` has one entry per hidden layer, or one per cross layer if there are no hidden layers.
using StudentConfig = nn::NetworkConfig;

struct ExperimentConfig {
  std::string id;
  std::string dataset_id;
  data::DatasetConfig dataset;

  std::string model_name = "KDEF";  // as written
  EnsembleConfig model;
  TrainingConfig training;  // training.seed also names the initial values

  bool deterministic = false;  // read and written, without effect: results are always reproducible

  std::string init;            // the run whose weights and vocabularies the training starts from; empty: none
  bool init_optimizer = true;  // it starts from the state of that run's optimizer, too

  std::vector<std::string> metrics = {"logloss", "AUC"};  // as written; training.metrics has them

  std::string model_root = "./checkpoints/";  // folder of run directories
  bool baseline = true;                       // constant and logistic regression are measured (kdef/measure/baseline.h)
  bool tensorboard = false;                   // the run directory also gets an event file (kdef/run/tensorboard.h)

  /// Keys that are set and have no effect, each once, with the reason in brackets if it depends on other keys.
  std::vector<std::string> ignored;
  /// Sentences about what was taken for what, and about names whose meaning has changed, to be shown once.
  std::vector<std::string> notes;
};

/// Reads experiment `expid` of `config_dir`. `overrides` are "key=value". The value is YAML; a dot in the key selects
/// an entry of a map, or by its index an entry of a list ("monitor.AUC=1", "students.0.net_dropout=0.2"). Throws
/// InputError for an unknown experiment (the message lists the known ones), for an unknown key (the message names the
/// nearest one), for values of the wrong type or out of range, and for invalid YAML. If `dataset_required` is false,
/// the data set's entry and files may be missing; the caller has the feature map from elsewhere.
ExperimentConfig load_experiment(const std::string& config_dir, const std::string& expid,
                                 const std::vector<std::string>& overrides = {}, bool dataset_required = true);

/// Reads the keys of one experiment from a YAML map (or JSON), without a data set. `source` names it in messages.
ExperimentConfig read_experiment(const std::string& yaml, const std::string& source);

/// The overrides by which an experiment gets an ensemble of this kind, whatever it has otherwise.
std::vector<std::string> overrides_for(EnsembleKind kind);

/// The whole configuration with all defaults, as YAML that load_resolved() reads back. `ignored` and
/// data::FieldConfig::where are left out.
std::string to_yaml(const ExperimentConfig& config);

/// Reads what to_yaml() wrote (config.yaml of a run directory). Overrides are as above; a student's setting needs its
/// index ("students.0.net_dropout=0.2").
ExperimentConfig load_resolved(const std::string& path, const std::vector<std::string>& overrides = {});

/// The same from the text of such a file; `source` names it in messages.
ExperimentConfig read_resolved(const std::string& yaml, const std::string& source);

/// to_yaml() without the keys that have no influence on results: experiment_id, model, model_root, checkpoint_every,
/// collapse_every and tensorboard.
std::string shaping_yaml(const ExperimentConfig& config);

struct KeyDifference {
  std::string key, before, after;
};
/// The top-level keys of shaping_yaml() in which two configurations differ.
std::vector<KeyDifference> differences(const ExperimentConfig& before, const ExperimentConfig& after);
/// "epochs (2 before, 8 now), feature_cols".
std::string describe(const std::vector<KeyDifference>& differences);

/// Whether an experiment may have the key `name`, under this name or as an alias (FuxiCTR's `patience`).
bool is_key(const std::string& name);

/// Every key with type, default and meaning, as Markdown tables.
std::string keys_markdown();

}  // namespace kdef
