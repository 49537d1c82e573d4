// The Deep & Cross network of the first version.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"

namespace kdef::nn {
namespace {

// flatten(e) W^T, by the batch's distinct ids where it has them.
Tensor linear_over(const Fields& x, const Tensor& weight) {
  const DistinctFields* d = x.distinct();
  return d ? ops::distinct_linear(d->rows, d->dense, d->ids, d->fields, weight, {}) : ops::linear(x.flat(), weight, {});
}

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
  // The readable way is output(hidden()). Since all cross layers are along x_0, x_l = a_l x_0 + c_l with a number a_l
  // per row and a vector c_l of all rows, from a_0 = 1, c_0 = 0:
  //   a_{l+1} = a_l (1 + w_l . x_0) + w_l . c_l,  c_{l+1} = c_l + b_l.
  // So the batch is multiplied by the vectors w_l and by fc's, at once, and no x_l is made.
  Tensor forward(const Fields& fields, const Pass& pass) const override {
    if (!pass.fused) return Network::forward(fields, pass);
    std::vector<Tensor> vectors;
    for (const Layer& layer : layers_) vectors.push_back(layer.w->weight());
    const Tensor to_x = ops::slice(fc_->weight(), 1, 0, width_);
    vectors.push_back(to_x);
    const Tensor products = linear_over(fields, ops::concat(vectors, 0));
    const auto product = [&](size_t l) { return ops::slice(products, 1, static_cast<int64_t>(l), 1); };
    Tensor a, c;
    for (size_t l = 0; l < layers_.size(); ++l) {
      const Tensor step = ops::shift(product(l), 1), b = ops::reshape(layers_[l].b, {1, width_});
      a = l == 0 ? step : ops::add(ops::mul(a, step), ops::linear(c, vectors[l], {}));
      c = l == 0 ? b : ops::add(c, b);
    }
    const Tensor z = ops::add(ops::mul(a, product(layers_.size())), ops::linear(c, to_x, fc_->bias()));
    if (!dnn_) return z;
    const Tensor to_h = ops::slice(fc_->weight(), 1, width_, dnn_->hidden_width());
    return ops::add(z, ops::linear(dnn_->hidden(fields, pass), to_h, {}));
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
