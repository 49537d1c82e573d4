#include "nn/mlp.h"

#include <algorithm>

#include "ops/fused/stacked.h"
#include "ops/gemm/route.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/norm.h"

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
    if (config.activations[i] != Activation::none)
      layer.tail.activation = &add_child(name(), make_activation(config.activations[i], units, build));
    if (config.dropout[i] > 0)
      layer.tail.dropout = &add_child(name(), std::make_unique<Dropout>(config.dropout[i], build));
    layers_.push_back(layer);
    width = units;
  }
  hidden_width_ = width;
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

Tensor Mlp::hidden(const Fields& x, const Pass& pass) const {
  return layers_.empty() ? x.flat() : layers_.back().tail.forward(pre_activation(x, pass), pass);
}

Tensor Mlp::output(const Tensor& hidden) const { return output_ ? output_->forward(hidden) : hidden; }

template <class Input>
Tensor Mlp::forward_of(const Input& x, const Pass& pass) const {
  if (!output_) return hidden(x, pass);
  if (layers_.empty()) return output_->forward(x);
  return layers_.back().tail.forward_linear(pre_activation(x, pass), *output_, pass);
}

Tensor Mlp::forward(const Tensor& x, const Pass& pass) const { return forward_of(x, pass); }

Tensor Mlp::forward(const Fields& x, const Pass& pass) const { return forward_of(x, pass); }

bool Mlp::stackable(const std::vector<const Mlp*>& networks, ops::GemmPrecision precision) {
  if (networks.size() < 2 || networks.size() > ops::kMaxStacked || networks[0]->layers_.empty()) return false;
  const Mlp& first = *networks[0];
  const bool rounded = precision == ops::GemmPrecision::bf16;
  const auto width_fits = [&](int64_t n) { return !rounded || (n >= ops::kMinRounded && n % ops::kRoundedUnit == 0); };
  return std::all_of(networks.begin(), networks.end(), [&](const Mlp* network) {
    if (network->layers_.size() != first.layers_.size() || !network->output_) return false;
    if (network->output_->weight().shape()[0] != 1 || !network->output_->bias().defined()) return false;
    for (size_t i = 0; i < first.layers_.size(); ++i) {
      const Hidden &a = first.layers_[i], &b = network->layers_[i];
      const Shape& shape = b.linear->weight().shape();
      if (shape != a.linear->weight().shape() || !width_fits(shape[0]) || !width_fits(shape[1]) ||
          !b.linear->bias().defined() || !b.tail.batch_norm || !b.tail.is_relu() ||
          a.tail.dropout_rate() != b.tail.dropout_rate()) {
        return false;
      }
    }
    return true;
  });
}

Tensor Mlp::forward_stacked(const std::vector<const Mlp*>& networks, const Tensor& x, const Pass& pass) {
  const auto of_all = [&](auto&& get) {
    std::vector<Tensor> all;
    for (const Mlp* network : networks) all.push_back(get(*network));
    return all;
  };
  // The linear maps are computed without bias: the op for batch norm adds it.
  Tensor z = ops::linear(x, ops::concat(of_all([](const Mlp& n) { return n.layers_[0].linear->weight(); }), 0), {});
  const size_t depth = networks[0]->layers_.size();
  for (size_t i = 0; i < depth; ++i) {
    ops::HiddenLayer layers{.training = true, .p = networks[0]->layers_[i].tail.dropout_rate()};
    const auto side_by_side = [&](auto member) {
      return ops::concat(of_all([&](const Mlp& n) { return member(n.layers_[i]); }), 0);
    };
    layers.bias = side_by_side([](const Hidden& h) { return h.linear->bias(); });
    layers.gamma = side_by_side([](const Hidden& h) { return h.tail.batch_norm->weight(); });
    layers.beta = side_by_side([](const Hidden& h) { return h.tail.batch_norm->bias(); });
    layers.running_mean = of_all([&](const Mlp& n) { return n.layers_[i].tail.batch_norm->running_mean(); });
    layers.running_var = of_all([&](const Mlp& n) { return n.layers_[i].tail.batch_norm->running_var(); });
    layers.keys.clear();
    for (const Mlp* network : networks) layers.keys.push_back(network->layers_[i].tail.dropout_key(pass));
    if (i + 1 == depth) {
      return ops::stacked_output(z, layers, ops::concat(of_all([](const Mlp& n) { return n.output_->weight(); }), 0),
                                 ops::concat(of_all([](const Mlp& n) { return n.output_->bias(); }), 0));
    }
    const Tensor h = ops::stacked_batch_norm_relu_dropout(z, layers);
    z = ops::stacked_linear(h, ops::stack(of_all([&](const Mlp& n) { return n.layers_[i + 1].linear->weight(); }), 0),
                            {});
  }
  throw Error("mlp: no hidden layers");
}

}  // namespace kdef::nn
