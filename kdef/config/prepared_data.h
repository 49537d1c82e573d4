// Data that FuxiCTR has prepared: files of ids, and a feature_map.json that describes their columns.
#pragma once

#include <map>
#include <string>

#include "kdef/config/yaml_value.h"

namespace kdef::config_keys {

/// Where the merged keys of an experiment have a data set without feature_cols, adds the columns, the label (unless it
/// is given) and rebuild_dataset: false from DATA_ROOT/DATASET_ID/feature_map.json; a relative data_root starts
/// where paths of `config_dir` do (starts_of_paths). Adds nothing where there is no such file. InputError for a file
/// that FuxiCTR did not write, for one of another data set, and for several labels.
void add_prepared_data(std::map<std::string, YamlValue>& merged, const std::string& config_dir);

}  // namespace kdef::config_keys
