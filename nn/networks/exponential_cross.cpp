// The exponential cross network.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

/// exponential_cross (Li et al., arXiv 2411.16122): x_0 [B, W], W = F D, holds all fields' first halves of the
/// embedding, then all second halves. Per layer, with h = W_l x [B, W/2] and its batch norm over one channel (all
/// values of the batch share mean and variance):
///   x <- x * ([h, h * relu(LayerNorm(h))] + b_l) + x, then dropout.
/// Every layer doubles the order of the interactions. z = fc(x). b_l starts uniform in [0, 1).
class ExponentialCross final : public Network {
 public:
  ExponentialCross(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) : width_(shape.width) {
    require_uniform("exponential_cross", shape);
    if (shape.dim % 2 != 0) {
      throw InputError(cat("network exponential_cross: embedding_dim ", shape.dim, " must be even: it is halved"));
    }
    const int64_t layers = config.settings.integer("num_cross_layers");
    KDEF_CHECK(config.dropout.size() >= static_cast<size_t>(layers),
               "exponential_cross: needs a dropout rate for each of its ", layers, " layers");
    for (int64_t i = 0; i < layers; ++i) {
      Layer layer;
      const std::string at = "." + std::to_string(i);
      layer.norm = &add_child("layer_norm" + at, std::make_unique<LayerNorm>(width_ / 2, build));
      if (config.batch_norm) layer.batch = &add_child("batch_norm" + at, std::make_unique<BatchNorm1d>(1, build));
      layer.w = &add_child("w" + at, std::make_unique<Linear>(width_, width_ / 2, build, false));
      layer.b = add_parameter("b" + at, build.uniform({width_}, 0, 1));
      const double rate = config.dropout[static_cast<size_t>(i)];
      if (rate > 0) layer.dropout = &add_child("dropout" + at, std::make_unique<Dropout>(rate, build));
      layers_.push_back(layer);
    }
    fc_ = &add_child("fc", std::make_unique<Linear>(width_, 1, build));
  }

  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    const Tensor& e = fields.whole();
    const int64_t rows = e.shape()[0], half = e.shape()[2] / 2;
    const Tensor first = ops::slice(e, 2, 0, half), second = ops::slice(e, 2, half, half);
    Tensor x = ops::concat({flatten(first), flatten(second)}, 1);
    for (const Layer& layer : layers_) {
      Tensor h = layer.w->forward(x);
      if (layer.batch) {
        h = ops::reshape(layer.batch->forward(ops::reshape(h, {h.numel(), 1}), pass), {rows, width_ / 2});
      }
      const Tensor mask = ops::relu(layer.norm->forward(h));
      const Tensor gate = ops::add(ops::concat({h, ops::mul(h, mask)}, 1), layer.b);
      x = ops::add(ops::mul(x, gate), x);
      if (layer.dropout) x = layer.dropout->forward(x, pass);
      pass.show(x);
    }
    return x;
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  struct Layer {
    Linear* w = nullptr;
    BatchNorm1d* batch = nullptr;
    LayerNorm* norm = nullptr;
    Dropout* dropout = nullptr;
    Tensor b;
  };
  int64_t width_;
  std::vector<Layer> layers_;
  Linear* fc_ = nullptr;
};

}  // namespace

NetworkType exponential_cross_network() {
  return {.name = "exponential_cross",
          .title = "Exponential cross network (ECN)",
          .source = "Li et al., arXiv 2411.16122",
          .formula = "z = fc(x_L), x <- x * ([h, h * relu(LayerNorm(h))] + b) + x, h = W x",
          .make = make<ExponentialCross>,
          .hidden_layers = HiddenLayers::none,
          .dropout_layers = "num_cross_layers",
          .keys = {integer_setting("num_cross_layers", 3, 1, kMaxLayers, "number of cross layers").with_small(2)}};
}

}  // namespace kdef::nn
