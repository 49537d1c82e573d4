// A multilayer perceptron whose layers are gated.
#include <algorithm>

#include "core/base/names.h"
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

/// PPNet (Chang et al., KDD 2023, arXiv 2302.01115): h <- dropout(act(BN(W h + b))) * 2 sigmoid(G_2 relu(G_1 v + c_1) +
/// c_2) per layer, v = [sg x, embeddings of the columns gate_priors by tables of its own], sg a stop-gradient; z = w .
/// h + b. Names: gate_embed_layer.*, ppn.mlp_layers.L.{0,1}.*, ppn.gate_layers.L.gate.{0,2}.*, and of the output the
/// next ppn.mlp_layers.L.
class PpNet final : public Network {
 public:
  PpNet(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) : width_(shape.width) {
    const Settings& s = config.settings;
    const MlpConfig mlp = mlp_config(s, hidden_keys());
    int64_t in = shape.width;
    const std::vector<EmbeddingField> priors =
        fields_named(s.texts("gate_priors"), "network PPNet: gate_priors", shape);
    if (!priors.empty()) {
      priors_ =
          &add_child("gate_embed_layer", std::make_unique<EmbeddingTables>(priors, s.integer("gate_emb_dim"), build));
      in += priors_->shape().width;
    }
    const int64_t inner = s.integer("gate_hidden_dim");
    size_t l = 0;
    for (; l < mlp.hidden_units.size(); ++l) {
      const std::string name = cat("ppn.mlp_layers.", l, "."), gate = cat("ppn.gate_layers.", l, ".gate.");
      const int64_t units = mlp.hidden_units[l];
      int number = 0;
      Layer layer;
      layer.linear = &add_child(cat(name, number++), std::make_unique<Linear>(width_, units, build));
      if (mlp.batch_norm) {
        layer.tail.batch_norm = &add_child(cat(name, number++), std::make_unique<BatchNorm1d>(units, build));
      }
      if (mlp.activations[l] != Activation::none) {
        layer.tail.activation = &add_child(cat(name, number++), make_activation(mlp.activations[l], units, build));
      }
      if (mlp.dropout[l] > 0) {
        layer.tail.dropout = &add_child(cat(name, number++), std::make_unique<Dropout>(mlp.dropout[l], build));
      }
      layer.gate = &add_child(gate + "0", std::make_unique<Linear>(in, inner, build));
      layer.open = &add_child(gate + "2", std::make_unique<Linear>(inner, units, build));
      layers_.push_back(layer);
      width_ = units;
    }
    fc_ = &add_child(cat("ppn.mlp_layers.", l), std::make_unique<Linear>(width_, 1, build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    Tensor h = fields.flat(), v = h.detach();
    if (priors_) v = ops::concat({v, fields.through(*priors_).flat()}, 1);
    for (const Layer& layer : layers_) {
      const Tensor gate = ops::sigmoid(layer.open->forward(ops::relu(layer.gate->forward(v))));
      h = ops::mul(layer.tail.forward(layer.linear->forward(h), pass), ops::scale(gate, 2));
    }
    return h;
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  struct Layer {
    Linear *linear = nullptr, *gate = nullptr, *open = nullptr;
    HiddenTail tail;
  };
  int64_t width_;
  EmbeddingTables* priors_ = nullptr;
  std::vector<Layer> layers_;
  Linear* fc_ = nullptr;
};

}  // namespace

NetworkType PPNet_network() {
  return {
      .name = "PPNet",
      .title = "MLP whose layers are gated by personal columns",
      .source = "Chang et al., KDD 2023, arXiv 2302.01115",
      .formula = "z = w . h + b, h <- act(BN(W h + b)) * 2 sigmoid(G_2 relu(G_1 v)), v = [sg x, priors]",
      .make = make<PpNet>,
      .keys =
          {texts_setting("gate_priors", {}, {}, "columns whose embeddings, by tables of its own, the gates read")
               .with_small(std::vector<std::string>{"user"}),
           integer_setting("gate_emb_dim", 10, 1, kMaxWidth, "columns of these tables").with_small(2),
           integer_setting("gate_hidden_dim", 64, 1, kMaxWidth, "width of the hidden layer of a gate").with_small(3)},
      .fuxictr = true,
      .mlps = {hidden_keys()}};
}

}  // namespace kdef::nn
