// Cross networks with gates.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

/// GDCN (Wang et al., CIKM 2023, arXiv 2311.04635): gated cross layers
///   x_{l+1} = x_0 * (W_l x_l + b_l) * sigmoid(G_l x_l) + x_l,
/// x_0 = flatten(e). GDCN, serial: z = MLP(x_L); GDCNP, parallel: z = fc([x_L, MLP without head (x_0)]).
/// Names: cross_net.w.L.weight, cross_net.wg.L.weight, cross_net.b.L, dnn.mlp.*, fc.*.
class Gdcn final : public Network {
 public:
  Gdcn(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : width_(shape.width), serial_(config.network == "GDCN") {
    const MlpConfig dnn = mlp_config(config.settings, dnn_keys(), serial_ ? 1 : 0);
    if (dnn.hidden_units.empty()) throw InputError(cat("network ", config.network, ": needs dnn_hidden_units"));
    dnn_ = &add_child("dnn", std::make_unique<Mlp>(width_, dnn, build));
    for (int64_t l = 0; l < config.settings.integer("num_cross_layers"); ++l) {
      layers_.push_back({&add_child(cat("cross_net.w.", l), std::make_unique<Linear>(width_, width_, build, false)),
                         &add_child(cat("cross_net.wg.", l), std::make_unique<Linear>(width_, width_, build, false)),
                         add_parameter(cat("cross_net.b.", l), build.uniform({width_}, 0, 1))});
    }
    if (!serial_) fc_ = &add_child("fc", std::make_unique<Linear>(hidden_width(), 1, build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    const Tensor x0 = fields.flat();
    Tensor x = x0;
    for (const Layer& layer : layers_) {
      const Tensor crossed = ops::mul(x0, ops::add(layer.w->forward(x), layer.b));
      x = ops::add(ops::mul(crossed, ops::sigmoid(layer.gate->forward(x))), x);
      pass.show(x);
    }
    return serial_ ? dnn_->hidden(x, pass) : ops::concat({x, dnn_->hidden(fields, pass)}, 1);
  }
  Tensor output(const Tensor& h) const override { return serial_ ? dnn_->output(h) : fc_->forward(h); }
  int64_t hidden_width() const override { return dnn_->hidden_width() + (serial_ ? 0 : width_); }

 private:
  struct Layer {
    Linear *w, *gate;
    Tensor b;
  };
  int64_t width_;
  bool serial_;
  std::vector<Layer> layers_;
  Mlp* dnn_ = nullptr;
  Linear* fc_ = nullptr;
};

NetworkType gdcn(const char* name, const char* title, const char* formula) {
  MlpKeys dnn = dnn_keys();
  dnn.standard_units = {};
  return {.name = name,
          .title = title,
          .source = "Wang et al., CIKM 2023, arXiv 2311.04635",
          .formula = formula,
          .make = make<Gdcn>,
          .keys = {integer_setting("num_cross_layers", 3, 1, kMaxLayers, "number of cross layers").with_small(2)},
          .fuxictr = true,
          .mlps = {dnn}};
}

}  // namespace

NetworkType GDCN_network() {
  return gdcn("GDCN", "Gated deep & cross network, serial",
              "z = MLP(x_L), x_{l+1} = x_0 * (W_l x_l + b_l) * sigmoid(G_l x_l) + x_l");
}
NetworkType GDCNP_network() {
  return gdcn("GDCNP", "Gated deep & cross network, parallel",
              "z = fc([x_L, MLP(x)]), x_{l+1} = x_0 * (W_l x_l + b_l) * sigmoid(G_l x_l) + x_l");
}

}  // namespace kdef::nn
