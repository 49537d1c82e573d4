// Settings in layers, of which later ones win, and the experiment that they make. Private to kdef/config.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kdef/config/keys.h"

namespace kdef::config_keys {

inline constexpr const char* kCommandLine = "command line";

/// Every key that is set, under the name that the table of keys has, with the value that counts.
using Layer = std::map<std::string, YamlValue>;

/// Later values of a key replace earlier ones. Unknown keys are refused here, while their place is known.
void merge(Layer& merged, const std::vector<YamlValue::Entry>& entries);

/// The key and the value of "KEY=VALUE".
std::pair<std::string, std::string> split_override(const std::string& text);
/// Merges "KEY=VALUE" of the command line, whose key may have dots (load_experiment()).
void merge_override(Layer& merged, const std::string& text);

/// The experiment `id` with its data set: the keys of its files, of which `overrides` of the command line replace some.
/// `place` is the data set's entry, for messages. A relative path that exists in one of `folders` and not in the
/// current directory is taken from there, and so is the map of data that FuxiCTR has prepared. If `dataset_required` is
/// false, keys of the data set may be missing.
ExperimentConfig experiment_of(const Layer& files, const std::vector<std::string>& overrides, const std::string& id,
                               const std::string& place, const std::vector<std::string>& folders,
                               bool dataset_required = true);

}  // namespace kdef::config_keys
