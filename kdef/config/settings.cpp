#include "kdef/config/settings.h"

#include <algorithm>
#include <set>
#include <vector>

#include "core/base/text.h"
#include "kdef/config/yaml_value.h"

namespace kdef {
namespace {

std::string one_line(const YamlValue& value) {
  std::string text = value.is_null() ? "null" : value.is_scalar() ? value.node().Scalar() : YAML::Dump(value.node());
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// A setting of a student. A rate or an activation for each layer is one where all layers have the same.
std::string of_student(const YamlValue::Entry& e) {
  const bool per_layer = e.name.ends_with("dropout") || e.name.ends_with("activations");
  const std::vector<YamlValue> layers = per_layer && e.value.is_list() ? e.value.list() : std::vector<YamlValue>{};
  const bool equal = !layers.empty() && std::all_of(layers.begin(), layers.end(), [&](const YamlValue& layer) {
    return one_line(layer) == one_line(layers[0]);
  });
  return one_line(equal ? layers[0] : e.value);
}

// The settings of a list of maps.
void add_items(std::map<std::string, std::string>& all, const std::string& key, const std::vector<YamlValue>& items) {
  std::set<std::string> names;
  std::vector<std::map<std::string, std::string>> texts;
  for (const YamlValue& item : items) {
    std::map<std::string, std::string>& own = texts.emplace_back();
    for (const YamlValue::Entry& e : item.map()) {
      own[e.name] = key == "students" ? of_student(e) : one_line(e.value);
      names.insert(e.name);
    }
  }
  for (const std::string& name : names) {
    const std::string& first = texts[0][name];
    if (std::all_of(texts.begin(), texts.end(), [&](auto& own) { return own[name] == first; })) {
      all[key == "students" ? name : cat(key, ".", name)] = first;
      continue;
    }
    for (size_t i = 0; i < texts.size(); ++i) all[cat(key, ".", i, ".", name)] = texts[i][name];
  }
}

}  // namespace

std::map<std::string, std::string> flat_settings(const ExperimentConfig& config) {
  std::map<std::string, std::string> all;
  for (const YamlValue::Entry& e : parse_yaml(shaping_yaml(config), config.id, "").map()) {
    const std::vector<YamlValue> items = e.value.is_list() ? e.value.list() : std::vector<YamlValue>{};
    const bool maps =
        !items.empty() && std::all_of(items.begin(), items.end(), [](const YamlValue& item) { return item.is_map(); });
    if (maps) {
      add_items(all, e.name, items);
    } else {
      all[e.name] = one_line(e.value);
    }
  }
  return all;
}

}  // namespace kdef
