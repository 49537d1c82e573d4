// Cross and deep layers with bridges between them.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/softmax.h"

namespace kdef::nn {
namespace {

/// Names: attentionK.0.*, attentionK.2.weight: a(x) = softmax(W_2 relu(W_1 x + b)) over the width.
class BridgeAttention final : public Module {
 public:
  BridgeAttention(int64_t width, Builder& build)
      : inner_(add_child("0", std::make_unique<Linear>(width, width, build))),
        outer_(add_child("2", std::make_unique<Linear>(width, width, build, false))) {}
  Tensor forward(const Tensor& x) const {
    return ops::mul(ops::softmax(outer_.forward(ops::relu(inner_.forward(x))), 1), x);
  }

 private:
  Linear &inner_, &outer_;
};

/// Joins the results c and d of a cross and a deep layer, [B, n] each. attention_pooling applies one attention to both;
/// FuxiCTR makes a second one, which it does not use, and so does this class.
class Bridge final : public Module {
 public:
  Bridge(const std::string& type, int64_t width, Builder& build) : type_(type) {
    if (type == "concatenation") {
      joined_ = &add_child("concat_pooling.0", std::make_unique<Linear>(2 * width, width, build));
    } else if (type == "attention_pooling") {
      attention_ = &add_child("attention1", std::make_unique<BridgeAttention>(width, build));
      add_child("attention2", std::make_unique<BridgeAttention>(width, build));
    }
  }
  Tensor forward(const Tensor& c, const Tensor& d) const {
    if (joined_) return ops::relu(joined_->forward(ops::concat({c, d}, 1)));
    if (attention_) return ops::add(attention_->forward(c), attention_->forward(d));
    return type_ == "hadamard_product" ? ops::mul(c, d) : ops::add(c, d);
  }

 private:
  std::string type_;
  Linear* joined_ = nullptr;
  BridgeAttention* attention_ = nullptr;
};

/// Makes the inputs of a cross and of a deep layer: c = BN(softmax(g_1 / t) * x), d = BN(softmax(g_2 / t) * x), where
/// the softmax is over the fields, and a field's number is for all of its D values. Without gates both are BN(x).
/// Names: g1, g2 [F], bn1.*, bn2.*.
class Regulation final : public Module {
 public:
  Regulation(const EmbeddingShape& shape, const Settings& s, Builder& build)
      : dim_(shape.dim), temperature_(s.number("temperature")) {
    for (int k = 0; k < 2; ++k) {
      if (s.flag("use_regulation_module")) {
        gates_[k] = add_parameter(cat("g", k + 1), build.constant({shape.fields}, 1));
      }
      if (s.flag("batch_norm")) {
        norms_[k] = &add_child(cat("bn", k + 1), std::make_unique<BatchNorm1d>(shape.width, build));
      }
    }
  }
  Tensor forward(const Tensor& x, int k, const Pass& pass) const {
    const Tensor y = gates_[k].defined() ? gated(x, gates_[k]) : x;
    return norms_[k] ? norms_[k]->forward(y, pass) : y;
  }

 private:
  Tensor gated(const Tensor& x, const Tensor& gates) const {
    const int64_t fields = gates.numel();
    const Tensor shares = ops::softmax(ops::scale(gates, 1 / temperature_), 0);
    return flatten(ops::mul(ops::reshape(x, {x.shape()[0], fields, dim_}), ops::reshape(shares, {fields, 1})));
  }
  int64_t dim_;
  double temperature_;
  Tensor gates_[2];
  BatchNorm1d* norms_[2] = {nullptr, nullptr};
};

/// EDCN (Chen et al., CIKM 2021): with the regulation of x (c_0, d_0), per layer
///   c <- c_0 (w . c) + b, d <- act(W d + b'), bridge = f(c, d), and (c, d) <- regulation(bridge) before the next
///   layer;
/// z = fc([c, d, bridge]). With use_residual, as in FuxiCTR 1.2.2, c <- c + c_0 (w . c) + b.
/// Names: dense_layers.L.mlp.0.*, cross_layers.L.{weight.weight,bias}, bridge_modules.L.*, regulation_modules.L.*,
/// fc.*.
class Edcn final : public Network {
 public:
  Edcn(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : width_(shape.width), residual_(config.settings.flag("use_residual")) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    MlpConfig dense{.hidden_units = {width_},
                    .activations = {parse_activation(s.texts("hidden_activations").at(0))},
                    .dropout = {s.numbers("net_dropout").at(0)},
                    .output = 0};
    for (int64_t l = 0; l < s.integer("num_cross_layers"); ++l) {
      Layer layer;
      layer.dense = &add_child(cat("dense_layers.", l), std::make_unique<Mlp>(width_, dense, build));
      layer.w = &add_child(cat("cross_layers.", l, ".weight"), std::make_unique<Linear>(width_, 1, build, false));
      layer.b = add_parameter(cat("cross_layers.", l, ".bias"), build.constant({width_}, 0));
      layer.bridge =
          &add_child(cat("bridge_modules.", l), std::make_unique<Bridge>(s.text("bridge_type"), width_, build));
      layer.regulation = &add_child(cat("regulation_modules.", l), std::make_unique<Regulation>(shape, s, build));
      layers_.push_back(layer);
    }
    fc_ = &add_child("fc", std::make_unique<Linear>(3 * width_, 1, build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    Tensor bridge = fields.flat(), c, d, c0;
    for (const Layer& layer : layers_) {
      c = layer.regulation->forward(bridge, 0, pass);
      d = layer.regulation->forward(bridge, 1, pass);
      if (!c0.defined()) c0 = c;
      const Tensor crossed = ops::add(ops::mul(c0, layer.w->forward(c)), layer.b);
      c = residual_ ? ops::add(c, crossed) : crossed;
      d = layer.dense->forward(d, pass);
      bridge = layer.bridge->forward(c, d);
      pass.show(bridge);
    }
    return ops::concat({c, d, bridge}, 1);
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return 3 * width_; }

 private:
  struct Layer {
    Mlp* dense = nullptr;
    Linear* w = nullptr;
    Tensor b;
    Bridge* bridge = nullptr;
    Regulation* regulation = nullptr;
  };
  int64_t width_;
  bool residual_;
  std::vector<Layer> layers_;
  Linear* fc_ = nullptr;
};

}  // namespace

NetworkType EDCN_network() {
  return {.name = "EDCN",
          .title = "Enhanced Deep & Cross network, with bridges and regulation",
          .source = "Chen et al., CIKM 2021",
          .formula = "z = fc([c, d, f(c, d)]), c <- c_0 (w . c) + b, d <- act(W d + b')",
          .make = make<Edcn>,
          .keys = {integer_setting("num_cross_layers", 3, 1, kMaxLayers, "number of cross layers").with_small(2),
                   activation_setting("hidden_activations", "relu", "the activation of every deep layer"),
                   rate_setting("net_dropout", 0, "dropout rate of every deep layer"),
                   flag_setting("batch_norm", false, "batch normalisation behind every regulation").with_small(true),
                   choice_setting("bridge_type", "hadamard_product",
                                  {"hadamard_product", "pointwise_addition", "concatenation", "attention_pooling"},
                                  "how cross and deep layers are joined")
                       .with_small("concatenation"),
                   flag_setting("use_regulation_module", true,
                                "the inputs of every layer are weighted by field; FuxiCTR 1.2.2: false"),
                   flag_setting("use_residual", false,
                                "the input of a cross layer is added to its result; FuxiCTR 1.2.2: true"),
                   number_setting("temperature", 1, 1e-6, 1e6, "divides the gates of the regulation")},
          .fuxictr = true};
}

}  // namespace kdef::nn
