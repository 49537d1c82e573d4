// Networks: from the embeddings of a row to one logit. Every network can be trained alone or be a student of an
// ensemble. A new network is a class with its formula, its maker in networks.h, and a row in network.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/mlp.h"

namespace kdef::nn {

/// Settings of one network; each network reads those that it has.
struct NetworkConfig {
  std::string network = "mlp";
  std::vector<int64_t> hidden_units;
  std::vector<std::string> hidden_activations;  // one per hidden layer
  std::vector<double> dropout;                  // one per hidden layer
  bool batch_norm = false;
  bool layer_norm = false;
  int64_t num_cross_layers = 3;           // exponential_cross, cross_v2, dcnv2
  bool gate_starts_open = false;          // finalnet: its field gate starts at weight 0, bias 1
  std::vector<int64_t> cin_units;         // cin, xdeepfm: width of each interaction layer
  std::vector<int64_t> afn_hidden_units;  // afn: the MLP behind the logarithmic neurons
  int64_t logarithmic_neurons = 5;        // afn
  int64_t attention_layers = 2, num_heads = 1, attention_dim = 8;  // autoint
  bool use_scale = true, use_residual = true;                      // autoint
};

/// Size of the embeddings a network reads: fields F, their common dimension D (0 if they differ), width = numbers in
/// a row.
struct EmbeddingShape {
  int64_t fields = 0, dim = 0, width = 0;
};

class Network : public Module {
 public:
  /// Embeddings [B, F, D] (or [B, width]) -> logit [B, 1]: output(hidden(..)).
  virtual Tensor forward(const Tensor& embeddings, const Pass& pass) const { return output(hidden(embeddings, pass)); }
  virtual Tensor forward(const SplitEmbedding& embeddings, const Pass& pass) const {
    return output(hidden(embeddings, pass));
  }
  /// The representation that the output layer reads: [B, hidden_width()].
  virtual Tensor hidden(const Tensor& embeddings, const Pass& pass) const = 0;
  /// Whether hidden() takes embeddings by distinct ids.
  virtual bool reads_distinct() const { return false; }
  virtual Tensor hidden(const SplitEmbedding&, const Pass&) const {
    throw Error("network: reads whole embeddings, not distinct ids");
  }
  virtual Tensor output(const Tensor& hidden) const = 0;
  /// The network as an MLP, where it is one and nothing more.
  virtual const Mlp* as_mlp() const { return nullptr; }
  virtual int64_t hidden_width() const = 0;
};

/// Builds the network that `config` names; throws InputError that lists the known ones otherwise.
std::unique_ptr<Network> make_network(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build);
std::vector<std::string> network_names();

}  // namespace kdef::nn
