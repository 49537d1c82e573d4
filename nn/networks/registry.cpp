#include "nn/networks/registry.h"

#include <algorithm>

#include "core/base/nearest.h"

namespace kdef::nn {

const SettingKey* NetworkType::find_key(const std::string& key) const {
  const auto it = std::find_if(keys.begin(), keys.end(), [&](const SettingKey& k) { return k.name == key; });
  return it == keys.end() ? nullptr : &*it;
}

Settings NetworkType::resolved(const Settings& given) const {
  Settings all;
  for (const SettingKey& key : keys) all.set(key.name, key.standard);
  for (const auto& [setting, value] : given.entries()) {
    const SettingKey* key = find_key(setting);
    if (key == nullptr) {
      std::vector<std::string> known;
      std::string list;
      for (const SettingKey& k : keys) {
        known.push_back(k.name);
        list += cat(list.empty() ? "" : ", ", k.name);
      }
      throw InputError(cat("network ", name, ": has no setting '", setting, "'", did_you_mean(setting, known),
                           list.empty() ? "; it has none of its own" : "; it has: " + list));
    }
    const std::string problem = key->problem(value);
    if (!problem.empty()) throw InputError(cat("network ", name, ": setting '", setting, "': ", problem));
    all.set(setting, value);
  }
  return all;
}

size_t NetworkType::dropout_rates(size_t layers, const Settings& given) const {
  if (hidden_layers != HiddenLayers::none) return layers;
  return dropout_layers.empty() ? 0 : static_cast<size_t>(resolved(given).integer(dropout_layers));
}

const std::vector<NetworkType>& network_types() {
#define KDEF_ROW(name) name##_network(),
  static const std::vector<NetworkType> types = {KDEF_NETWORKS(KDEF_ROW)};
#undef KDEF_ROW
  return types;
}

std::vector<std::string> network_names() {
  std::vector<std::string> names;
  for (const NetworkType& type : network_types()) names.push_back(type.name);
  return names;
}

const NetworkType& network_type(const std::string& name) {
  std::string known;
  for (const NetworkType& type : network_types()) {
    if (type.name == name) return type;
    known += cat(known.empty() ? "" : ", ", type.name);
  }
  throw InputError(cat("network '", name, "' is unknown", did_you_mean(name, network_names()), "; known: ", known));
}

std::unique_ptr<Network> make_network(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
  const NetworkType& type = network_type(config.network);
  NetworkConfig complete = config;
  complete.settings = type.resolved(config.settings);
  return type.make(complete, shape, build);
}

}  // namespace kdef::nn
