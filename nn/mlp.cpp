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
      layer.tail.batch_norm = &add_child(name(), std::make_unique<BatchNorm1d>(units, build));
    else if (config.layer_norm)
      layer.tail.layer_norm = &add_child(name(), std::make_unique<LayerNorm>(units, build));
    layer.tail.activation = config.activations[i];
    if (layer.tail.activation != Activation::none) ++number;
    if (config.dropout[i] > 0)
      layer.tail.dropout = &add_child(name(), std::make_unique<Dropout>(config.dropout[i], build));
    layers_.push_back(layer);
    width = units;
  }
  if (config.output > 0) output_ = &add_child(name(), std::make_unique<Linear>(width, config.output, build));
}

template <class Input>
Tensor Mlp::pre_activation(const Input& x, const Pass& pass) const {
  Tensor z = layers_[0].linear->forward(x);
  for (size_t i = 1; i < layers_.size(); ++i) z = layers_[i - 1].tail.forward_linear(z, *layers_[i].linear, pass);
  return z;
}

Tensor Mlp::hidden(const Tensor& x, const Pass& pass) const {
  return layers_.empty() ? x : layers_.back().tail.forward(pre_activation(x, pass), pass);
}

Tensor Mlp::hidden(const SplitEmbedding& x, const Pass& pass) const {
  KDEF_CHECK(!layers_.empty(), "mlp: has no hidden layer to read distinct ids");
  return layers_.back().tail.forward(pre_activation(x, pass), pass);
}

Tensor Mlp::output(const Tensor& hidden) const { return output_ ? output_->forward(hidden) : hidden; }

Tensor Mlp::forward(const Tensor& x, const Pass& pass) const {
  if (!output_ || layers_.empty()) return output(hidden(x, pass));
  return layers_.back().tail.forward_linear(pre_activation(x, pass), *output_, pass);
}

Tensor Mlp::forward(const SplitEmbedding& x, const Pass& pass) const {
  if (!output_ || layers_.empty()) return output(hidden(x, pass));
  return layers_.back().tail.forward_linear(pre_activation(x, pass), *output_, pass);
}

}  // namespace kdef::nn
