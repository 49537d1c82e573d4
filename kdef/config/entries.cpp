#include "kdef/config/entries.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/base/text.h"
#include "core/io/file.h"

namespace kdef::config_keys {
namespace {

namespace fs = std::filesystem;

bool is_yaml(const fs::path& path) { return path.extension() == ".yaml" || path.extension() == ".yml"; }

}  // namespace

std::vector<std::string> config_files(const std::string& folder, const std::string& name, bool required) {
  if (fs::exists(folder) && !fs::is_directory(folder)) {
    throw InputError(cat(folder, ": is a file; give the folder that holds model_config.yaml and dataset_config.yaml"));
  }
  if (!fs::is_directory(folder)) {
    throw InputError(cat(folder, ": there is no such configuration directory",
                         fs::path(folder).is_absolute() ? "" : cat(" in ", fs::current_path().string())));
  }
  for (const char* ending : {".yaml", ".yml"}) {
    const fs::path single = fs::path(folder) / (name + ending);
    if (fs::exists(single)) return {single.string()};
  }
  const fs::path many = fs::path(folder) / name;
  std::vector<std::string> files;
  if (fs::is_directory(many)) {
    for (const std::string& file : names_in(many.string())) {
      if (is_yaml(file)) files.push_back((many / file).string());
    }
  }
  if (files.empty() && required)
    throw InputError(cat(folder, ": neither ", name, ".yaml nor ", name, "/*.yaml is there"));
  return files;
}

const YamlValue* Entries::find(const std::string& name) const {
  const auto it = std::find_if(found.begin(), found.end(), [&](const auto& e) { return e.name == name; });
  return it == found.end() ? nullptr : &it->value;
}

std::string Entries::where() const { return files.at(0) + (files.size() > 1 ? " and its neighbours" : ""); }

std::string Entries::names(const std::string& name) const {
  std::set<std::string> all;
  for (const auto& e : found) all.insert(e.name);
  all.erase("Base");
  std::vector<std::string> sorted(all.begin(), all.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const auto& a, const auto& b) { return edit_distance(name, a) < edit_distance(name, b); });
  std::string text;
  constexpr size_t kShown = 20;
  for (size_t i = 0; i < std::min(sorted.size(), kShown); ++i) text += (i == 0 ? "" : ", ") + sorted[i];
  return text.empty() ? "none" : text + (sorted.size() > kShown ? ", ..." : "");
}

std::vector<fs::path> starts_of_paths(const std::string& folder) {
  return {{}, folder, fs::path(folder) / "..", fs::path(folder) / ".." / ".."};
}

Entries load_entries(const std::vector<std::string>& files) {
  Entries entries{{}, files};
  for (const std::string& file : files) {
    for (YamlValue::Entry& e : load_yaml_file(file).map()) entries.found.push_back(std::move(e));
  }
  return entries;
}

const YamlValue& experiment_in(const Entries& entries, const std::string& id) {
  if (const YamlValue* experiment = id == "Base" ? nullptr : entries.find(id)) return *experiment;
  throw InputError(
      cat(entries.where(), ": experiment '", id, "'", spelt_out(id), " is not there; there are: ", entries.names(id)));
}

const YamlValue* base_of(const Entries& entries, const YamlValue& experiment) {
  for (const auto& e : entries.found) {
    if (e.name == "Base" && e.value.source() == experiment.source()) return &e.value;
  }
  return entries.find("Base");
}

const YamlValue& dataset_in(const Entries& entries, const std::string& id, const YamlValue& asked_at) {
  if (const YamlValue* dataset = entries.find(id)) return *dataset;
  asked_at.fail(cat("data set '", id, "' is not in ", entries.where(), "; there are: ", entries.names(id)));
}

}  // namespace kdef::config_keys
