// Configuration files for built-in data. Their format is that of FuxiCTR; training can use them unchanged.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/schema.h"

namespace kdef::data {

/// The settings that all experiments of a data set share.
struct ExperimentSettings {
  int64_t batch_size = 4096;
  int64_t embedding_dim = 16;
  double embedding_regularizer = 0;
  double learning_rate = 1e-3;
  std::string hidden_units = "[400, 400, 400]";
  double net_dropout = 0;
  int64_t epochs = 100;
  uint64_t seed = 2024;
};

/// The names of the files of built-in data in their folder: rows of train, valid and test, and the two configurations.
std::vector<std::string> builtin_files();

/// Throws InputError, which names them, where `dir` already has files of builtin_files().
void refuse_to_replace_data(const std::string& dir);

/// Writes dataset_config.yaml and model_config.yaml into `dir`. Experiments: KDEF (EKTF of three MLPs), mean and
/// sum (their ensembles without teaching) and single (one MLP).
void write_yaml_files(const std::string& dir, const DatasetConfig& dataset, const ExperimentSettings& settings);

}  // namespace kdef::data
