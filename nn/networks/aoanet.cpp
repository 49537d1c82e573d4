// Generalized interactions of fields.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

MlpKeys aoanet_keys() { return {.units = "dnn_hidden_units", .activations = "dnn_hidden_activations"}; }

/// AOANet (Lang et al., KDD 2021): with B_0 = e and S subspaces, per layer
///   B'[o, h] = sum over d of W[o, h, d] v[o, d] sum over (s, f) of a[s F + f, o] e[f, h] B[s, d];
/// z = fc([MLP without head (x), flatten(B_L)]). W starts as the identity, a and v at 1.
/// Names: gin.layers.L.W [S, D, D], gin.layers.L.alpha [S_in F, S], gin.layers.L.h [S, D, 1] (v above), dnn.mlp.*,
/// fc.*.
class AoaNet final : public Network {
 public:
  AoaNet(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : subspaces_(config.settings.integer("num_subspaces")), dim_(shape.dim) {
    require_uniform(config.network, shape);
    const MlpConfig dnn = mlp_config(config.settings, aoanet_keys(), 0);
    if (dnn.hidden_units.empty()) throw InputError("network AOANet: needs dnn_hidden_units");
    dnn_ = &add_child("dnn", std::make_unique<Mlp>(shape.width, dnn, build));
    for (int64_t l = 0; l < config.settings.integer("num_interaction_layers"); ++l) {
      const std::string name = cat("gin.layers.", l);
      const int64_t in = l == 0 ? shape.fields : subspaces_;
      layers_.push_back({add_parameter(name + ".W", identities(build)),
                         add_parameter(name + ".alpha", build.constant({in * shape.fields, subspaces_}, 1)),
                         add_parameter(name + ".h", build.constant({subspaces_, dim_, 1}, 1))});
    }
    fc_ = &add_child("fc", std::make_unique<Linear>(hidden_width(), 1, build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    const Tensor& e = fields.whole();
    Tensor b = e;
    for (const Layer& layer : layers_) b = interaction(layer, e, b);
    return ops::concat({dnn_->forward(fields, pass), flatten(b)}, 1);
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return dnn_->hidden_width() + subspaces_ * dim_; }

 private:
  struct Layer {
    Tensor w, alpha, v;
  };
  // [S, D, D].
  Tensor identities(Builder& build) const {
    const auto d = static_cast<size_t>(dim_);
    std::vector<double> values(static_cast<size_t>(subspaces_) * d * d);
    for (size_t i = 0; i < values.size(); ++i) values[i] = i / d % d == i % d ? 1 : 0;
    Tensor all = build.constant({subspaces_, dim_, dim_}, 0);
    all.copy_from(Tensor::from(values, all.shape()).to(build.dtype()));
    return all;
  }
  Tensor interaction(const Layer& layer, const Tensor& e, const Tensor& b) const {
    const int64_t rows = e.shape()[0], fields = e.shape()[1], in = b.shape()[1], out = subspaces_;
    // t[s, o, h] = sum over f of alpha[s F + f, o] e[f, h]
    const Tensor alpha = ops::transpose(ops::reshape(layer.alpha, {in, fields, out}), 1, 2);
    const Tensor by_dim = ops::reshape(ops::transpose(e, 1, 2), {rows * dim_, fields});
    const Tensor mixed =
        ops::reshape(ops::linear(by_dim, ops::reshape(alpha, {in * out, fields}), {}), {rows, dim_, in * out});
    const Tensor t = ops::reshape(ops::transpose(mixed, 1, 2), {rows, in, out * dim_});
    // g[s, o, h] = sum over d of W[o, h, d] v[o, d] B[s, d]
    const Tensor weights = ops::reshape(ops::mul(layer.w, ops::reshape(layer.v, {out, 1, dim_})), {out * dim_, dim_});
    const Tensor g = ops::reshape(ops::linear(ops::reshape(b, {rows * in, dim_}), weights, {}), {rows, in, out * dim_});
    return ops::reshape(ops::sum(ops::mul(t, g), 1), {rows, out, dim_});
  }
  int64_t subspaces_, dim_;
  std::vector<Layer> layers_;
  Mlp* dnn_ = nullptr;
  Linear* fc_ = nullptr;
};

}  // namespace

NetworkType AOANet_network() {
  return {.name = "AOANet",
          .title = "Architecture and operation adaptive network",
          .source = "Lang et al., KDD 2021",
          .formula = "z = fc([MLP(x), B_L]), B'[o, h] = sum of W[o, h, d] v[o, d] a[s, f, o] e[f, h] B[s, d]",
          .make = make<AoaNet>,
          .keys = {integer_setting("num_interaction_layers", 3, 1, kMaxLayers, "number of interaction layers")
                       .with_small(2),
                   integer_setting("num_subspaces", 4, 1, kMaxWidth, "subspaces of each layer").with_small(2)},
          .fuxictr = true,
          .mlps = {aoanet_keys()}};
}

}  // namespace kdef::nn
