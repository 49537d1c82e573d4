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
  /// Its own settings. network_types() puts those of `mlps` before them.
  std::vector<SettingKey> keys = {};

  // -- Networks that are a model class of FuxiCTR, number for number, under its name and with its keys and defaults

  /// All settings are then in `keys`; the common ones of NetworkConfig (hidden_units, dropout, ..) are not read.
  bool fuxictr = false;
  int64_t embedding_dim = 10;  // FuxiCTR's default
  std::vector<MlpKeys> mlps = {};
  /// Whether the network reads tables of its own alone, and not those that an ensemble shares; null: it does not.
  bool (*own_tables)(const Settings&) = nullptr;
  /// What stands before embedding_layer.embedding_layers.FIELD.weight in the state_dict of the class.
  std::string tables = "embedding_layer.";

  /// Null if the network has no such setting. In a configuration, a setting A.B is the entry B of the map A.
  const SettingKey* find_key(const std::string& key) const;
  /// Settings with a value for every key, in the order of the keys. Throws InputError for a name that is no key and for
  /// a value that its key does not allow. Lists per layer must fit their layers.
  Settings resolved(const Settings& given) const;
  /// How many dropout rates a network with these settings takes.
  size_t dropout_rates(size_t hidden_layers, const Settings& given) const;
};

// X(name): name_network() in the network's file gives its type. The order is that of the documentation: first the
// networks of KDEF's authors, then those of FuxiCTR under its names.
#define KDEF_NETWORKS(X) \
  X(mlp)                 \
  X(product)             \
  X(kdef_finalnet)       \
  X(exponential_cross)   \
  X(cross_v2)            \
  X(kdef_dcnv2)          \
  X(cin)                 \
  X(kdef_xdeepfm)        \
  X(wide_deep)           \
  X(logistic_regression) \
  X(kdef_afn)            \
  X(kdef_autoint)        \
  X(LR)                  \
  X(FM)                  \
  X(FFM)                 \
  X(FFMv2)               \
  X(FwFM)                \
  X(FmFM)                \
  X(HOFM)                \
  X(AFM)                 \
  X(LorentzFM)           \
  X(DNN)                 \
  X(WideDeep)            \
  X(DeepFM)              \
  X(NFM)                 \
  X(PNN)                 \
  X(ONN)                 \
  X(ONNv2)               \
  X(xDeepFM)             \
  X(DeepIM)              \
  X(FiBiNET)             \
  X(HFM)                 \
  X(AFN)                 \
  X(DCN)                 \
  X(DCNv2)               \
  X(DCNv3)               \
  X(ECN)                 \
  X(GDCN)                \
  X(GDCNP)               \
  X(EDCN)                \
  X(DeepCrossing)        \
  X(FinalNet)            \
  X(FinalMLP)            \
  X(DualMLP)             \
  X(MaskNet)             \
  X(PPNet)               \
  X(DLRM)                \
  X(WuKong)              \
  X(QNN)                 \
  X(QNN_alpha)           \
  X(AutoInt)             \
  X(DESTINE)             \
  X(InterHAt)            \
  X(SAM)                 \
  X(AOANet)              \
  X(FiGNN)               \
  X(FGCNN)               \
  X(CCPM)                \
  X(FLEN)                \
  X(EulerNet)            \
  X(APG_DeepFM)

#define KDEF_DECLARE(name) NetworkType name##_network();
KDEF_NETWORKS(KDEF_DECLARE)
#undef KDEF_DECLARE

/// Whether the network that `config` names reads the tables that it is built for (NetworkType::own_tables).
bool reads_shared_tables(const NetworkConfig& config);

/// NetworkType::own_tables of a network that has no shared tables, whatever its settings.
inline bool always(const Settings&) { return true; }

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
