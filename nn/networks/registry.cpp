#include "nn/networks/registry.h"

#include "core/base/names.h"

namespace kdef::nn {

const SettingKey* NetworkType::find_key(const std::string& key) const { return find_row(keys, key); }

Settings NetworkType::resolved(const Settings& given) const {
  Settings all;
  for (const SettingKey& key : keys) all.set(key.name, key.standard);
  for (const auto& [setting, value] : given.entries()) {
    const SettingKey* key = find_key(setting);
    if (key == nullptr) {
      const std::vector<std::string> known = row_names(keys);
      throw InputError(cat("network ", name, ": has no setting '", setting, "'", did_you_mean(setting, known),
                           known.empty() ? "; it has none of its own" : "; it has: " + joined(known)));
    }
    const std::string problem = key->problem(value);
    if (!problem.empty()) throw InputError(cat("network ", name, ": setting '", setting, "': ", problem));
    all.set(setting, value);
  }
  for (const MlpKeys& mlp : mlps) {
    const auto [key, problem] = mlp.problem(all);
    if (!key.empty()) throw InputError(cat("network ", name, ": setting '", key, "': ", problem));
  }
  return all;
}

size_t NetworkType::dropout_rates(size_t layers, const Settings& given) const {
  if (hidden_layers != HiddenLayers::none) return layers;
  return dropout_layers.empty() ? 0 : static_cast<size_t>(resolved(given).integer(dropout_layers));
}

namespace {

// The type with the keys of its MLPs in front, each key once, and without the common settings if it is FuxiCTR's.
NetworkType completed(NetworkType type) {
  std::vector<SettingKey> keys;
  const auto add = [&](const std::vector<SettingKey>& more) {
    for (const SettingKey& key : more) {
      if (find_row(keys, key.name) == nullptr) keys.push_back(key);
    }
  };
  for (const MlpKeys& mlp : type.mlps) add(mlp.keys());
  add(type.keys);
  type.keys = std::move(keys);
  if (type.fuxictr) type.hidden_layers = HiddenLayers::none;
  return type;
}

}  // namespace

const std::vector<NetworkType>& network_types() {
#define KDEF_ROW(name) completed(name##_network()),
  static const std::vector<NetworkType> types = {KDEF_NETWORKS(KDEF_ROW)};
#undef KDEF_ROW
  return types;
}

bool reads_shared_tables(const NetworkConfig& config) {
  const NetworkType& type = network_type(config.network);
  return type.own_tables == nullptr || !type.own_tables(type.resolved(config.settings));
}

std::vector<std::string> network_names() { return row_names(network_types()); }

const NetworkType& network_type(const std::string& name) {
  const NetworkType* type = find_row(network_types(), name);
  if (type == nullptr) fail_unknown_name("network", name, network_names());
  return *type;
}

std::unique_ptr<Network> make_network(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
  const NetworkType& type = network_type(config.network);
  NetworkConfig complete = config;
  complete.settings = type.resolved(config.settings);
  return type.make(complete, shape, build);
}

}  // namespace kdef::nn
