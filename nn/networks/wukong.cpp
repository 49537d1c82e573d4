// Stacked factorization machines.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"

namespace kdef::nn {
namespace {

MlpKeys block_keys() {
  return {.units = "fmb_mlp_units",
          .activations = "fmb_mlp_activations",
          .batch_norm = "",
          .standard_units = {32, 32},
          .of = "of a block's MLP"};
}
MlpKeys last_keys() {
  return {.units = "mlp_hidden_units",
          .activations = "mlp_hidden_activations",
          .dropout = "",
          .batch_norm = "mlp_batch_norm",
          .standard_units = {32, 32},
          .standard_norm = true,
          .of = "of the last MLP"};
}

/// A linear map over the fields: W [m, n] of x [B, n, D]: [B, m, D].
Tensor over_fields(const Linear& linear, const Tensor& x) {
  const int64_t rows = x.shape()[0], n = x.shape()[1], dim = x.shape()[2];
  const Tensor y = linear.forward(ops::reshape(ops::transpose(x, 1, 2), {rows * dim, n}));
  return ops::transpose(ops::reshape(y, {rows, dim, y.shape()[1]}), 1, 2);
}

/// A layer, of X [B, n, D]: X' = LN([FMB ; LCB] + residual).
///   FMB = relu(MLP(LN(flatten(X X^T Y)))), seen as m_F fields; without a rank X X^T. LCB = W X over the fields.
///   residual = X where X' has as many fields, otherwise a linear map of X over the fields.
/// Names: fmb.proj_Y [n, k], fmb.layer_norm.*, fmb.mlp.mlp.*, lcb.linear.weight, layer_norm.*, residual_proj.*.
class WuKongLayer final : public Module {
 public:
  WuKongLayer(int64_t n, int64_t dim, const Settings& s, Builder& build)
      : fields_(s.integer("fmb_features")), out_(fields_ + s.integer("lcb_features")) {
    const int64_t rank = s.integer("fmp_rank_k"), width = n * (rank > 0 ? rank : n);
    if (rank > 0) y_ = add_parameter("fmb.proj_Y", build.normal({n, rank}, 1));
    inner_norm_ = &add_child("fmb.layer_norm", std::make_unique<LayerNorm>(width, build));
    mlp_ = &add_child("fmb.mlp", std::make_unique<Mlp>(width, mlp_config(s, block_keys(), fields_ * dim), build));
    lcb_ = &add_child("lcb.linear", std::make_unique<Linear>(n, out_ - fields_, build, false));
    if (s.flag("layer_norm")) norm_ = &add_child("layer_norm", std::make_unique<LayerNorm>(dim, build));
    if (n != out_) residual_ = &add_child("residual_proj", std::make_unique<Linear>(n, out_, build));
  }
  Tensor forward(const Tensor& x, const Pass& pass) const {
    const int64_t rows = x.shape()[0], n = x.shape()[1], dim = x.shape()[2];
    Tensor pairs;
    if (y_.defined()) {
      const Tensor by_dim = ops::matmul(ops::reshape(ops::transpose(x, 1, 2), {rows * dim, n}), y_);
      pairs = ops::matmul(x, ops::reshape(by_dim, {rows, dim, y_.shape()[1]}));
    } else {
      pairs = ops::matmul(x, x, false, true);
    }
    const Tensor fmb = ops::relu(mlp_->forward(inner_norm_->forward(flatten(pairs)), pass));
    const Tensor both = ops::concat({ops::reshape(fmb, {rows, fields_, dim}), over_fields(*lcb_, x)}, 1);
    const Tensor sum = ops::add(both, residual_ ? over_fields(*residual_, x) : x);
    return norm_ ? norm_->forward(sum) : sum;
  }
  int64_t fields() const { return out_; }

 private:
  int64_t fields_, out_;
  Tensor y_;
  LayerNorm *inner_norm_ = nullptr, *norm_ = nullptr;
  Mlp* mlp_ = nullptr;
  Linear *lcb_ = nullptr, *residual_ = nullptr;
};

/// WuKong (Zhang et al., ICML 2024, arXiv 2403.02545): z = MLP(flatten(X_L)), X_0 = e.
/// Names: wukong_stack.L.*, fc.mlp.*.
class WuKong final : public Network {
 public:
  WuKong(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    int64_t fields = shape.fields;
    for (int64_t l = 0; l < s.integer("num_wukong_layers"); ++l) {
      layers_.push_back(
          &add_child(cat("wukong_stack.", l), std::make_unique<WuKongLayer>(fields, shape.dim, s, build)));
      fields = layers_.back()->fields();
    }
    mlp_ = &add_child("fc", std::make_unique<Mlp>(fields * shape.dim, mlp_config(s, last_keys()), build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    Tensor x = fields.whole();
    for (const WuKongLayer* layer : layers_) {
      x = layer->forward(x, pass);
      pass.show(flatten(x));
    }
    return mlp_->hidden(flatten(x), pass);
  }
  Tensor output(const Tensor& h) const override { return mlp_->output(h); }
  int64_t hidden_width() const override { return mlp_->hidden_width(); }

 private:
  std::vector<WuKongLayer*> layers_;
  Mlp* mlp_ = nullptr;
};

}  // namespace

NetworkType WuKong_network() {
  return {
      .name = "WuKong",
      .title = "Stacked factorization machines (WuKong)",
      .source = "Zhang et al., ICML 2024, arXiv 2403.02545",
      .formula = "z = MLP(X_L), X <- LN([relu(MLP(LN(X X^T Y))) ; W X] + residual)",
      .make = make<WuKong>,
      .keys =
          {integer_setting("num_wukong_layers", 3, 1, kMaxLayers, "number of layers").with_small(2),
           integer_setting("lcb_features", 40, 1, kMaxWidth, "fields that a layer makes by a linear map").with_small(2),
           integer_setting("fmb_features", 40, 1, kMaxWidth, "fields that a layer makes by its MLP").with_small(2),
           integer_setting("fmp_rank_k", 8, 0, kMaxWidth, "columns of Y; 0 or null: X X^T without Y")
               .with_small(2)
               .with_null(0),
           flag_setting("layer_norm", true, "layer normalisation of a layer's result")},
      .fuxictr = true,
      .embedding_dim = 64,
      .mlps = {block_keys(), last_keys()}};
}

}  // namespace kdef::nn
