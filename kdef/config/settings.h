// The settings of an experiment as names and values that a table can show.
#pragma once

#include <map>
#include <string>

#include "kdef/config/config.h"

namespace kdef {

/// Every key that shapes results (shaping_yaml()), with its value on one line. What all students have in common stands
/// under its key alone ("net_dropout": "0.1", if all layers have this rate), what all columns have in common behind
/// "feature_cols."; the rest as "students.0.net_dropout".
std::map<std::string, std::string> flat_settings(const ExperimentConfig& config);

}  // namespace kdef
