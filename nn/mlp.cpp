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
    Linear& linear = add_child(name(), std::make_unique<Linear>(width, units, build));
    layers_.push_back([&linear](const Tensor& x, const Pass&) { return linear.forward(x); });
    if (config.batch_norm) {
      BatchNorm1d& norm = add_child(name(), std::make_unique<BatchNorm1d>(units, build));
      layers_.push_back([&norm](const Tensor& x, const Pass& pass) { return norm.forward(x, pass); });
    } else if (config.layer_norm) {
      LayerNorm& norm = add_child(name(), std::make_unique<LayerNorm>(units, build));
      layers_.push_back([&norm](const Tensor& x, const Pass&) { return norm.forward(x); });
    }
    const Activation activation = config.activations[i];
    if (activation != Activation::none) {
      ++number;
      layers_.push_back([activation](const Tensor& x, const Pass&) { return activate(x, activation); });
    }
    if (config.dropout[i] > 0) {
      Dropout& dropout = add_child(name(), std::make_unique<Dropout>(config.dropout[i], build));
      layers_.push_back([&dropout](const Tensor& x, const Pass& pass) { return dropout.forward(x, pass); });
    }
    width = units;
  }
  if (config.output > 0) output_ = &add_child(name(), std::make_unique<Linear>(width, config.output, build));
}

Tensor Mlp::hidden(const Tensor& x, const Pass& pass) const {
  Tensor h = x;
  for (const auto& layer : layers_) h = layer(h, pass);
  return h;
}

Tensor Mlp::output(const Tensor& hidden) const { return output_ ? output_->forward(hidden) : hidden; }

Tensor Mlp::forward(const Tensor& x, const Pass& pass) const { return output(hidden(x, pass)); }

}  // namespace kdef::nn
