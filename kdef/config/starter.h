// The configuration of a data set that has none: what kdef init writes. docs/own-data.md states the rule.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/profile/proposal.h"

namespace kdef {

/// Settings of a first training, by the number of training rows.
struct StarterSettings {
  int64_t batch_size = 0, embedding_dim = 0;
  std::vector<int64_t> hidden_units;
  double net_dropout = 0, embedding_regularizer = 0, learning_rate = 0;
};
StarterSettings starter_settings(int64_t train_rows);

/// dataset_config.yaml: the keys that differ from their default, and a line per column with the reason beside it.
/// InputError for a name that YAML cannot hold.
std::string starter_dataset_yaml(const data::Proposal& proposal);

/// model_config.yaml with the experiments KDEF (three students) and single (one network).
std::string starter_model_yaml(const data::Proposal& proposal, int64_t train_rows, const std::string& model_root);

/// Names of the two files.
inline constexpr const char* kDatasetYaml = "dataset_config.yaml";
inline constexpr const char* kModelYaml = "model_config.yaml";

}  // namespace kdef
