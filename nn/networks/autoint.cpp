// Self-attention over the fields, beside an MLP.
#include <cmath>

#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/fused/field_attention.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

/// One layer of multi-head self-attention (Vaswani et al. 2017, arXiv 1706.03762) over the fields of x [B, F, in]: per
/// head softmax(Q K^T / sqrt(head size)) V, heads side by side, plus x (or W_res x), layer norm, ReLU -> [B, F, A].
class Attention final : public Module {
 public:
  Attention(int64_t in, const Settings& s, double rate, bool layer_norm, Builder& build)
      : heads_(s.integer("num_heads")),
        width_(s.integer("attention_dim")),
        scale_(s.flag("use_scale")),
        residual_(s.flag("use_residual")),
        q_(add_child("W_q", std::make_unique<Linear>(in, width_, build, false))),
        k_(add_child("W_k", std::make_unique<Linear>(in, width_, build, false))),
        v_(add_child("W_v", std::make_unique<Linear>(in, width_, build, false))) {
    if (residual_ && in != width_) res_ = &add_child("W_res", std::make_unique<Linear>(in, width_, build, false));
    if (rate > 0) dropout_ = &add_child("dropout", std::make_unique<Dropout>(rate, build));
    if (layer_norm) norm_ = &add_child("layer_norm", std::make_unique<LayerNorm>(width_, build));
  }

  Tensor forward(const Tensor& x, const Pass& pass) const {
    const int64_t rows = x.shape()[0], fields = x.shape()[1];
    const Tensor flat = ops::reshape(x, {rows * fields, x.shape()[2]});
    const auto of_rows = [&](const Tensor& t) { return ops::reshape(t, {rows, fields, width_}); };
    ops::AttentionForm form{.heads = heads_};
    if (scale_) form.scale = 1.0 / std::sqrt(static_cast<double>(width_ / heads_));
    if (dropout_ && pass.training) form.p = dropout_->rate(), form.key = dropout_->key(pass);
    const auto attend = pass.fused ? ops::field_attention : ops::field_attention_composed;
    Tensor y = attend(of_rows(q_.forward(flat)), of_rows(k_.forward(flat)), of_rows(v_.forward(flat)), form);
    if (res_)
      y = ops::add(y, of_rows(res_->forward(flat)));
    else if (residual_)
      y = ops::add(y, x);
    if (norm_) y = norm_->forward(y);
    return ops::relu(y);
  }

 private:
  int64_t heads_, width_;
  bool scale_, residual_;
  Linear &q_, &k_, &v_;
  Linear* res_ = nullptr;
  Dropout* dropout_ = nullptr;
  LayerNorm* norm_ = nullptr;
};

/// AutoInt (Song et al., CIKM 2019, arXiv 1810.11921): z = fc(flatten(attention layers(e))) + MLP(flatten(e)) + first
/// order without bias. kdef_autoint always has the MLP and never the first order; AutoInt has both by its settings.
/// Names: self_attention.L.*, fc.*, dnn.mlp.*, lr_layer.*.
class AutoInt final : public SumNetwork {
 public:
  AutoInt(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    const bool fuxictr = config.network == "AutoInt";
    const Settings& s = config.settings;
    require_uniform(config.network, shape);
    const int64_t dim = s.integer("attention_dim"), heads = s.integer("num_heads");
    if (dim % heads != 0) {
      throw InputError(
          cat("network ", config.network, ": attention_dim ", dim, " is not divisible by num_heads ", heads));
    }
    MlpConfig dnn = fuxictr ? mlp_config(s, dnn_keys()) : mlp_config(config);
    // layer_norm is a setting of the attention layers; the MLP has batch norm or no normalisation.
    dnn.layer_norm = false;
    const double rate = fuxictr ? s.numbers("net_dropout").at(0) : config.dropout.empty() ? 0.0 : config.dropout[0];
    const bool layer_norm = fuxictr ? s.flag("layer_norm") : config.layer_norm;
    const bool has_dnn = !fuxictr || !dnn.hidden_units.empty();
    Mlp* mlp = has_dnn ? &add_child("dnn", std::make_unique<Mlp>(shape.width, dnn, build)) : nullptr;
    for (int64_t i = 0; i < s.integer("attention_layers"); ++i) {
      layers_.push_back(&add_child(cat("self_attention.", i),
                                   std::make_unique<Attention>(i == 0 ? shape.dim : dim, s, rate, layer_norm, build)));
    }
    const int64_t width = shape.fields * dim;
    Linear& fc = add_child("fc", std::make_unique<Linear>(width, 1, build));
    add_part({width, [this](const Fields& x, const Pass& pass) { return attention(x, pass); },
              [&fc](const Tensor& h) { return fc.forward(h); }});
    if (mlp) add_mlp(*mlp);
    if (fuxictr && s.flag("use_wide")) add_first_order("lr_layer", false, shape, build);
  }

 private:
  Tensor attention(const Fields& fields, const Pass& pass) const {
    Tensor x = fields.whole();
    for (const Attention* layer : layers_) {
      x = layer->forward(x, pass);
      pass.show(flatten(x));
    }
    return flatten(x);
  }
  std::vector<Attention*> layers_;
};

std::vector<SettingKey> attention_keys(bool scale) {
  return {integer_setting("attention_layers", 2, 1, kMaxLayers, "number of attention layers"),
          integer_setting("num_heads", 1, 1, kMaxWidth, "heads of each attention layer").with_small(2),
          integer_setting("attention_dim", 8, 1, kMaxWidth, "width of all heads together").with_small(4),
          flag_setting("use_scale", scale, "attention scores are divided by sqrt(head size)"),
          flag_setting("use_residual", true, "the input of an attention layer is added to its result")};
}

}  // namespace

NetworkType kdef_autoint_network() {
  return {.name = "kdef_autoint",
          .title = "AutoInt with an MLP (AutoInt+), as KDEF's authors have it",
          .source = "Song et al., CIKM 2019, arXiv 1810.11921",
          .formula = "z = fc(attention layers(e)) + MLP(x)",
          .make = make<AutoInt>,
          .keys = attention_keys(true)};
}

NetworkType AutoInt_network() {
  std::vector<SettingKey> keys = attention_keys(false);
  keys.push_back(flag_setting("layer_norm", false, "layer normalisation in every attention layer").with_small(true));
  keys.push_back(flag_setting("use_wide", false, "a first order part is added").with_small(true));
  return {.name = "AutoInt",
          .title = "AutoInt, with an MLP AutoInt+",
          .source = "Song et al., CIKM 2019, arXiv 1810.11921",
          .formula = "z = fc(attention layers(e)) [+ MLP(x)] [+ LR without b]",
          .make = make<AutoInt>,
          .keys = keys,
          .fuxictr = true,
          .mlps = {dnn_keys()}};
}

}  // namespace kdef::nn
