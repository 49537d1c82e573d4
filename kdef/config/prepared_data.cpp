#include "kdef/config/prepared_data.h"

#include <filesystem>
#include <set>

#include "core/base/error.h"
#include "core/base/names.h"
#include "kdef/config/entries.h"
#include "kdef/config/keys.h"

namespace kdef::config_keys {
namespace {

namespace fs = std::filesystem;

// The file for these keys; empty where there is none.
std::string map_file(const std::map<std::string, YamlValue>& merged, const std::string& config_dir) {
  const auto id = merged.find("dataset_id"), root = merged.find("data_root");
  if (id == merged.end()) return "";
  const fs::path folder = root == merged.end() ? data::DatasetConfig().data_root : root->second.text();
  const fs::path file = folder / id->second.text() / "feature_map.json";
  for (const fs::path& start : starts_of_paths(config_dir)) {
    const fs::path there = (start / file).lexically_normal();
    std::error_code unknown;
    if (fs::is_regular_file(there, unknown)) return there.string();
  }
  return "";
}

// The key that names rows which FuxiCTR has prepared, in a data set that has its map: data_format npz, since it
// prepares no other .npz, or a file with a name that it gives to them, beside the map. Null where there is none.
const YamlValue* prepared_rows(const std::map<std::string, YamlValue>& merged, const std::string& map,
                               const std::string& config_dir) {
  const auto format = merged.find("data_format");
  if (format != merged.end() && format->second.is_scalar() && format->second.text() == "npz") return &format->second;
  std::error_code unknown;
  const fs::path folder = fs::weakly_canonical(fs::path(map).parent_path(), unknown);
  for (const auto& [key, name] : {std::pair{"train_data", "train"}, {"valid_data", "valid"}, {"test_data", "test"}}) {
    const auto rows = merged.find(key);
    if (rows == merged.end() || !rows->second.is_scalar()) continue;
    for (const fs::path& start : starts_of_paths(config_dir)) {
      const fs::path file = fs::weakly_canonical(start / rows->second.text(), unknown);
      for (const char* ending : {".parquet", ".npz", ".h5"}) {
        if (file == folder / (std::string(name) + ending)) return &rows->second;
      }
    }
  }
  return nullptr;
}

// {NAME: {KEY: VALUE, ..}} as an entry of feature_cols. Keys whose meaning is fixed here are checked and left out. A
// table of vectors lies in the folder of the map; a column that shares an embedding has that of the other one.
YAML::Node column_of(const YamlValue& feature, const fs::path& folder, std::set<std::string>& before) {
  const std::vector<YamlValue::Entry> entries = feature.map();
  if (entries.size() != 1) feature.expected("one column: {NAME: {type: ..}}");
  YAML::Node column;
  column["name"] = entries[0].name;
  for (const YamlValue::Entry& e : entries[0].value.map()) {
    if (e.name == "padding_idx") {
      if (!e.value.is_null() && e.value.integer(0) != 0) e.value.expected("0, the id of padding");
    } else if (e.name != "oov_idx") {
      column[e.name] = e.value.node();
    }
  }
  if (!column["type"]) entries[0].value.fail("expected a key 'type'");
  if (column["share_embedding"] && before.contains(column["share_embedding"].as<std::string>(""))) {
    for (const char* key : {"pretrained_emb", "pretrain_dim", "freeze_emb", "pretrain_usage"}) column.remove(key);
  } else if (const YAML::Node table = column["pretrained_emb"]; table && table.IsScalar() && !table.Scalar().empty()) {
    column["pretrained_emb"] = (folder / table.Scalar()).string();
  }
  before.insert(entries[0].name);
  return column;
}

}  // namespace

void add_prepared_data(std::map<std::string, YamlValue>& merged, const std::string& config_dir) {
  if (merged.count("dataset_id") == 0) return;
  const std::string path = map_file(merged, config_dir);
  if (path.empty()) return;
  if (merged.count("feature_cols") != 0) {
    const YamlValue* ids = merged.count("rebuild_dataset") != 0 ? nullptr : prepared_rows(merged, path, config_dir);
    if (ids == nullptr) return;
    ids->fail(
        cat("FuxiCTR has prepared this data set (", path,
            "), and these rows are its ids; take feature_cols and label_col out, or write rebuild_dataset: true if "
            "they are values that ids are made from"));
  }
  const YamlValue file = load_yaml_file(path);
  std::map<std::string, YamlValue> keys;
  for (const YamlValue::Entry& e : file.map()) keys.emplace(e.name, e.value);
  for (const char* key : {"features", "labels", "dataset_id"}) {
    if (keys.count(key) == 0) {
      throw InputError(cat(path, ": is not a feature_map.json of FuxiCTR: it has no key '", key,
                           "'; the data set needs feature_cols, or the folder that FuxiCTR prepared as data_root"));
    }
  }
  const std::string dataset_id = merged.at("dataset_id").text();
  if (keys.at("dataset_id").text() != dataset_id) {
    keys.at("dataset_id").fail(cat("this is the map of another data set; '", dataset_id, "' is expected"));
  }
  const std::vector<YamlValue> labels = keys.at("labels").list();
  if (labels.size() != 1) keys.at("labels").expected("one label column; several labels are not supported");
  YAML::Node columns(YAML::NodeType::Sequence);
  std::set<std::string> before;
  for (const YamlValue& feature : keys.at("features").list()) {
    columns.push_back(column_of(feature, fs::path(path).parent_path(), before));
  }
  merged.emplace("feature_cols", YamlValue(columns, path, "features", false));
  merged.emplace("label_col", YamlValue(labels[0].node(), path, "labels", false));
  merged.insert_or_assign("rebuild_dataset", YamlValue(YAML::Node("false"), path, "rebuild_dataset", false));
}

}  // namespace kdef::config_keys
