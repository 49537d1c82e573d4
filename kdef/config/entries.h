// The entries of a configuration folder: experiments and data sets by name. Private to kdef/config.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kdef/config/yaml_value.h"

namespace kdef::config_keys {

/// NAME.yaml or NAME.yml of a folder, or else the files of NAME/ that are called so, by name. Throws InputError if
/// there is no such folder, and if `required` and it has none of these files.
std::vector<std::string> config_files(const std::string& folder, const std::string& name, bool required = true);

/// Where relative paths in a configuration folder start, in the order in which they are tried: at the current directory
/// (""), in the folder, in the one above it, where FuxiCTR's run_expid.py stands, and in the one above that, where the
/// scripts of its demos stand.
std::vector<std::filesystem::path> starts_of_paths(const std::string& folder);

/// The entries of files, in their order. The first entry of a name counts.
struct Entries {
  std::vector<YamlValue::Entry> found;
  std::vector<std::string> files;

  const YamlValue* find(const std::string& name) const;
  /// "FILE", or "FILE and its neighbours".
  std::string where() const;
  /// Names of entries, nearest to `name` first, without Base.
  std::string names(const std::string& name) const;
};
Entries load_entries(const std::vector<std::string>& files);

/// The experiment of that name. InputError lists the known ones.
const YamlValue& experiment_in(const Entries& entries, const std::string& id);
/// The entry Base that holds for an experiment: that of the experiment's file, or the first one; null without any.
const YamlValue* base_of(const Entries& entries, const YamlValue& experiment);
/// The data set of that name. `asked_at` is where the name stands; its InputError lists the known ones.
const YamlValue& dataset_in(const Entries& entries, const std::string& id, const YamlValue& asked_at);

}  // namespace kdef::config_keys
