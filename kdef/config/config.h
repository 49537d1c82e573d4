// The configuration of an experiment: FuxiCTR's YAML as the authors of KDEF write it, and keys of our own.
//
// A configuration directory holds model_config.yaml (or model_config/*.yaml): the entry `Base` and one per experiment,
// and dataset_config.yaml (or dataset_config/*.yaml): one entry per data set. Later settings win:
//   built-in default < Base < experiment < the data set's entry < command line.
// Every key, its type, default and meaning: keys_markdown(), printed from the table that the loader reads by.
//
// Paths are relative to the current directory, as in FuxiCTR. A relative data_root, train_data, valid_data or test_data
// that does not exist there, but does in the configuration directory, is taken from the latter.
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

/// One sub-network. `dropout` has one entry per hidden layer, or per cross layer where there are no hidden layers.
using StudentConfig = nn::NetworkConfig;

struct ExperimentConfig {
  std::string id;
  std::string dataset_id;
  data::DatasetConfig dataset;

  std::string model_name = "KDEF";  // as written
  EnsembleConfig model;
  TrainingConfig training;  // training.seed also names the initial values

  // These keys are read and written, and change nothing.
  bool deterministic = false;  // results never depend on the number of threads

  std::vector<std::string> metrics = {"logloss", "AUC"};  // the names that `monitor` may use; training.metrics has them

  std::string model_root = "./checkpoints/";  // folder of run directories
  bool tensorboard = false;                   // the run directory also gets an event file (kdef/run/tensorboard.h)

  /// Keys that were given and have no effect here, each once, with the reason in brackets where it is not general.
  std::vector<std::string> ignored;
};

/// Reads experiment `expid` of `config_dir`. `overrides` are "key=value": the value is YAML, dots lead into maps and,
/// by number from 0, into lists ("monitor.AUC=1", "students.0.net_dropout=0.2").
/// Throws InputError for a missing experiment (naming those there are), unknown keys (naming the nearest), values of
/// the wrong type or out of range, and YAML that does not parse. `dataset_required` false: the data set's entry and its
/// files may be missing (its feature map is known otherwise).
ExperimentConfig load_experiment(const std::string& config_dir, const std::string& expid,
                                 const std::vector<std::string>& overrides = {}, bool dataset_required = true);

/// The whole configuration, every default resolved, as YAML that load_resolved() reads back. Of `ignored` and of the
/// places in data::FieldConfig::where nothing is kept.
std::string to_yaml(const ExperimentConfig& config);

/// Reads what to_yaml() wrote (config.yaml of a run directory), with overrides as above; those of students' settings
/// name the student ("students.0.net_dropout=0.2").
ExperimentConfig load_resolved(const std::string& path, const std::vector<std::string>& overrides = {});

/// The configuration as to_yaml(), without the keys that shape no result: experiment_id, model, model_root,
/// checkpoint_every, collapse_every and tensorboard.
std::string shaping_yaml(const ExperimentConfig& config);

struct KeyDifference {
  std::string key, before, after;
};
/// Top-level keys of shaping_yaml() in which two configurations differ.
std::vector<KeyDifference> differences(const ExperimentConfig& before, const ExperimentConfig& after);
/// "epochs (2 before, 8 now), feature_cols".
std::string describe(const std::vector<KeyDifference>& differences);

/// Every key with type, default and meaning, as Markdown tables.
std::string keys_markdown();

}  // namespace kdef
