#include "nn/mlp.h"

namespace kdef::nn {

Mlp::Mlp(int64_t in, const MlpConfig& config, Builder& build) {
  KDEF_CHECK(
      config.activations.size() == config.hidden_units.size() && config.dropout.size() == config.hidden_units.size(),
      "mlp: ", config.hidden_units.size(), " hidden layers with ", config.activations.size(), " activations and ",
      config.dropout.size(), " dropout rates");
  int number = 0;
  const auto name = [&] { return "mlp." + std::to_string(number++); };
  int64_t width = in;
  for (size_t i = 0; i < config.hidden_units.size(); ++i) {
    const int64_t units = config.hidden_units[i];
    Hidden layer;
    layer.linear = &add_child(name(), std::make_unique<Linear>(width, units, build));
    if (config.batch_norm)
      layer.batch_norm = &add_child(name(), std::make_unique<BatchNorm1d>(units, build));
    else if (config.layer_norm)
      layer.layer_norm = &add_child(name(), std::make_unique<LayerNorm>(units, build));
    layer.activation = config.activations[i];
    if (layer.activation != Activation::none) ++number;
    if (config.dropout[i] > 0) layer.dropout = &add_child(name(), std::make_unique<Dropout>(config.dropout[i], build));
    layers_.push_back(layer);
    width = units;
  }
  if (config.output > 0) output_ = &add_child(name(), std::make_unique<Linear>(width, config.output, build));
}

Tensor Mlp::hidden(const Tensor& x, const Pass& pass) const {
  Tensor h = x;
  for (const Hidden& layer : layers_) {
    h = layer.linear->forward(h);
    if (pass.fused && layer.batch_norm && layer.activation == Activation::relu) {
      h = layer.batch_norm->forward_relu_dropout(h, layer.dropout, pass);
      pass.show(h);
      continue;
    }
    if (layer.batch_norm) h = layer.batch_norm->forward(h, pass);
    if (layer.layer_norm) h = layer.layer_norm->forward(h);
    h = activate(h, layer.activation);
    if (layer.dropout) h = layer.dropout->forward(h, pass);
    pass.show(h);
  }
  return h;
}

Tensor Mlp::output(const Tensor& hidden) const { return output_ ? output_->forward(hidden) : hidden; }

Tensor Mlp::forward(const Tensor& x, const Pass& pass) const { return output(hidden(x, pass)); }

}  // namespace kdef::nn
