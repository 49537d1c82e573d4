// The Deep & Cross network of the first version.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

/// DCN: cross layers x_{l+1} = x_0 (w_l . x_l) + b_l + x_l over x_0 = flatten(e), beside an MLP without head;
/// z = fc([x_L, MLP(x_0)]), or fc(x_L) without an MLP. Every w_l is one vector, so that a layer costs O(width).
/// Names: crossnet.cross_net.L.weight.weight [1, width], crossnet.cross_net.L.bias [width], dnn.mlp.*, fc.*.
class Dcn final : public Network {
 public:
  Dcn(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) : width_(shape.width) {
    for (int64_t i = 0; i < config.settings.integer("num_cross_layers"); ++i) {
      const std::string name = cat("crossnet.cross_net.", i);
      Layer layer;
      layer.w = &add_child(name + ".weight", std::make_unique<Linear>(width_, 1, build, false));
      layer.b = add_parameter(name + ".bias", build.constant({width_}, 0));
      layers_.push_back(layer);
    }
    const MlpConfig dnn = mlp_config(config.settings, dnn_keys(), 0);
    if (!dnn.hidden_units.empty()) dnn_ = &add_child("dnn", std::make_unique<Mlp>(width_, dnn, build));
    fc_ = &add_child("fc", std::make_unique<Linear>(hidden_width(), 1, build));
  }

  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    const Tensor x0 = fields.flat();
    Tensor x = x0;
    for (const Layer& layer : layers_) {
      x = ops::add(ops::add(ops::mul(x0, layer.w->forward(x)), layer.b), x);
      pass.show(x);
    }
    return dnn_ ? ops::concat({x, dnn_->hidden(fields, pass)}, 1) : x;
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return width_ + (dnn_ ? dnn_->hidden_width() : 0); }

 private:
  struct Layer {
    Linear* w = nullptr;
    Tensor b;
  };
  int64_t width_;
  std::vector<Layer> layers_;
  Mlp* dnn_ = nullptr;
  Linear* fc_ = nullptr;
};

}  // namespace

NetworkType DCN_network() {
  MlpKeys dnn = dnn_keys();
  dnn.standard_units = {};
  return {.name = "DCN",
          .title = "Deep & Cross network (DCN)",
          .source = "Wang et al., ADKDD 2017, arXiv 1708.05123",
          .formula = "z = fc([x_L, MLP(x)]), x_{l+1} = x_0 (w_l . x_l) + b_l + x_l",
          .make = make<Dcn>,
          .keys = {integer_setting("num_cross_layers", 3, 1, kMaxLayers, "number of cross layers").with_small(2)},
          .fuxictr = true,
          .mlps = {dnn}};
}

}  // namespace kdef::nn
