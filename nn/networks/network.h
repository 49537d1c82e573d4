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

class Network : public Module {
 public:
  /// The logit [B, 1] of each row of the batch: output(hidden(..)).
  virtual Tensor forward(const Fields& fields, const Pass& pass) const { return output(hidden(fields, pass)); }
  /// The representation that the output layer reads: [B, hidden_width()].
  virtual Tensor hidden(const Fields& fields, const Pass& pass) const = 0;
  virtual Tensor output(const Tensor& hidden) const = 0;
  virtual int64_t hidden_width() const = 0;
};

/// The logits [B, M] of M networks; network k reads fields[k]. MLPs of one shape that read the same embeddings are
/// computed side by side in training on a CUDA device.
Tensor forward_all(const std::vector<const Network*>& networks, const std::vector<Fields>& fields, const Pass& pass);

/// The MLP of a network that is one and nothing more; null for other networks.
const Mlp* mlp_of(const Network& network);

/// Builds the network that `config` names; throws InputError that lists the known ones otherwise.
std::unique_ptr<Network> make_network(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build);
std::vector<std::string> network_names();

}  // namespace kdef::nn
