// The network of factorized interaction layers.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

/// finalnet (FINAL; Zhu et al., SIGIR 2023): field gate g = W_g e over the field axis, x = flatten([e ; e * g]); each
/// hidden layer's linear map gives halves [h2, h1] that become [h2, h1 * h2] before batch norm, activation and dropout;
/// z = fc(x). The gate starts as any Linear does, as in the published runs; with gate_starts_open it starts at weight 0
/// and bias 1, where g = 1.
class FinalNet final : public Network {
 public:
  FinalNet(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform("finalnet", shape);
    const MlpConfig mlp = mlp_config(config);
    int64_t width = 2 * shape.width;
    for (size_t i = 0; i < mlp.hidden_units.size(); ++i) {
      const int64_t units = mlp.hidden_units[i];
      if (units % 2 != 0)
        throw InputError(cat("network finalnet: hidden_units ", units, " must be even: they are halved"));
      const std::string at = "." + std::to_string(i);
      Layer layer;
      layer.linear = &add_child("layer" + at + ".linear", std::make_unique<Linear>(width, units, build));
      if (mlp.batch_norm) layer.tail.batch_norm = &add_child("norm" + at, std::make_unique<BatchNorm1d>(units, build));
      if (mlp.activations[i] != Activation::none) {
        layer.tail.activation = &add_child("activation" + at, make_activation(mlp.activations[i], units, build));
      }
      if (mlp.dropout[i] > 0)
        layer.tail.dropout = &add_child("dropout" + at, std::make_unique<Dropout>(mlp.dropout[i], build));
      layers_.push_back(layer);
      width = units;
    }
    width_ = width;
    gate_ = &add_child("field_gate.linear", std::make_unique<Linear>(shape.fields, shape.fields, build));
    if (config.settings.flag("gate_starts_open")) {
      for (Parameter& p : gate_->parameters()) p.tensor.fill(p.name == "bias" ? 1 : 0);
    }
    fc_ = &add_child("fc", std::make_unique<Linear>(width, 1, build));
  }
  Tensor hidden(const Fields& batch, const Pass& pass) const override {
    const Tensor& e = batch.whole();
    const int64_t rows = e.shape()[0], fields = e.shape()[1], dim = e.shape()[2];
    const Tensor by_dim = ops::reshape(ops::transpose(e, 1, 2), {rows * dim, fields});
    const Tensor gate = ops::transpose(ops::reshape(gate_->forward(by_dim), {rows, dim, fields}), 1, 2);
    Tensor x = flatten(ops::concat({e, ops::mul(e, gate)}, 1));
    for (const Layer& layer : layers_) {
      const Tensor h = layer.linear->forward(x);
      const int64_t half = h.shape()[1] / 2;
      const Tensor h2 = ops::slice(h, 1, 0, half), h1 = ops::slice(h, 1, half, half);
      x = layer.tail.forward(ops::concat({h2, ops::mul(h1, h2)}, 1), pass);
    }
    return x;
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  struct Layer {
    Linear* linear = nullptr;
    HiddenTail tail;
  };
  int64_t width_ = 0;
  std::vector<Layer> layers_;
  Linear* gate_ = nullptr;
  Linear* fc_ = nullptr;
};

}  // namespace

NetworkType finalnet_network() {
  return {.name = "finalnet",
          .title = "Factorized interaction layers (FINAL), one block, with a field gate",
          .source = "Zhu et al., SIGIR 2023",
          .formula = "z = fc(layers([e ; e * gate(e)])), a layer gives [h2, h1 * h2] for [h2, h1] = W x + b",
          .make = make<FinalNet>,
          .keys = {flag_setting("gate_starts_open", false,
                                "the field gate starts at weight 0 and bias 1; false: as the published runs did")}};
}

}  // namespace kdef::nn
