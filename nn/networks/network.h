// Networks: from the embeddings of a row to one logit. Every network can be trained alone or be a student of an
// ensemble. nn/networks/registry.h lists them all; a network is a file of this folder and a row of that list.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/fields.h"
#include "nn/mlp.h"
#include "nn/networks/settings.h"
#include "nn/teaching.h"

namespace kdef::nn {

/// Settings of one network. `settings` holds those that only some networks have (NetworkType::keys).
struct NetworkConfig {
  std::string network = "mlp";                  // a name of the registry
  std::vector<int64_t> hidden_units;            // the width of each hidden layer
  std::vector<std::string> hidden_activations;  // one per hidden layer
  std::vector<double> dropout;                  // one rate per hidden layer; see also NetworkType::dropout_layers
  bool batch_norm = false;
  bool layer_norm = false;
  Settings settings = {};  // a missing setting has its default value
};

/// A network's logit [B, 1], and the logits [B, K] of the branches that it trains beside; undefined: it has none.
struct NetworkOutput {
  Tensor logit, branches;
};

class Network : public Module {
 public:
  /// The logit [B, 1] of each row of the batch: output(hidden(..)).
  virtual Tensor forward(const Fields& fields, const Pass& pass) const { return output(hidden(fields, pass)); }
  /// The representation that the output layer reads: [B, hidden_width()].
  virtual Tensor hidden(const Fields& fields, const Pass& pass) const = 0;
  virtual Tensor output(const Tensor& hidden) const = 0;
  virtual int64_t hidden_width() const = 0;

  /// forward() with the branches, for networks that have some.
  virtual NetworkOutput forward_branches(const Fields& fields, const Pass& pass) const {
    return {forward(fields, pass), {}};
  }
  /// What the network adds to the loss in training, where it has branches: labels [B, 1]. Undefined: nothing.
  virtual Tensor branch_loss(const NetworkOutput&, const Tensor& /*labels*/, const TaskFunctions&) const { return {}; }
};

/// Builds the network that `config` names, for embeddings of `shape`. Throws InputError for an unknown name (it lists
/// the known ones), for settings that the network does not have or that are out of range, and for embeddings that the
/// network cannot read.
std::unique_ptr<Network> make_network(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build);

/// The logits [B, M] of M networks; network k reads fields[k]. `branches`, if given, gets M tensors
/// (NetworkOutput::branches). MLPs of one shape that read the same embeddings are
/// computed side by side in training on a CUDA device.
Tensor forward_all(const std::vector<const Network*>& networks, const std::vector<Fields>& fields, const Pass& pass,
                   std::vector<Tensor>* branches = nullptr);

/// The Mlp of a network of type `mlp` or `DNN`; null for other networks.
const Mlp* mlp_of(const Network& network);

}  // namespace kdef::nn
