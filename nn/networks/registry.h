// The list of networks. A new network is a file of this folder, which holds its class and its NetworkType, and a row of
// KDEF_NETWORKS. Configuration, documentation, the audit and the common tests follow from the row.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/networks/network.h"

namespace kdef::nn {

/// Whether a network has hidden layers: hidden_units, hidden_activations and dropout of NetworkConfig.
enum class HiddenLayers { none, optional, required };

/// A type of network: a row of the list.
struct NetworkType {
  std::string name;     // in configurations
  std::string title;    // the full name, for the documentation
  std::string source;   // the paper
  std::string formula;  // the logit z in one line; e are the embeddings [F, D], x = flatten(e)
  /// Gets a configuration whose settings are complete and valid.
  std::unique_ptr<Network> (*make)(const NetworkConfig&, const EmbeddingShape&, Builder&);
  HiddenLayers hidden_layers = HiddenLayers::required;
  /// For networks without hidden layers: the name of the integer setting that counts the layers that `dropout` has a
  /// rate for. Empty: `dropout` is not used.
  std::string dropout_layers = {};
  std::vector<SettingKey> keys = {};

  /// Null if the network has no such setting.
  const SettingKey* find_key(const std::string& key) const;
  /// Settings with a value for every key, in the order of the keys. Throws InputError for a name that is no key and for
  /// a value that its key does not allow.
  Settings resolved(const Settings& given) const;
  /// How many dropout rates a network with these settings takes.
  size_t dropout_rates(size_t hidden_layers, const Settings& given) const;
};

// X(name): name_network() in the network's file gives its type. The order is that of the documentation.
#define KDEF_NETWORKS(X) \
  X(mlp)                 \
  X(product)             \
  X(finalnet)            \
  X(exponential_cross)   \
  X(dcn)                 \
  X(cross_v2)            \
  X(dcnv2)               \
  X(cin)                 \
  X(xdeepfm)             \
  X(wide_deep)           \
  X(logistic_regression) \
  X(fm)                  \
  X(deepfm)              \
  X(afn)                 \
  X(autoint)

#define KDEF_DECLARE(name) NetworkType name##_network();
KDEF_NETWORKS(KDEF_DECLARE)
#undef KDEF_DECLARE

/// All types, in the order of the list.
const std::vector<NetworkType>& network_types();
/// The type with this name. Throws InputError, which lists the known names, for an unknown one.
const NetworkType& network_type(const std::string& name);
std::vector<std::string> network_names();

/// NetworkType::make for the class N.
template <class N>
std::unique_ptr<Network> make(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
  return std::make_unique<N>(config, shape, build);
}

}  // namespace kdef::nn
