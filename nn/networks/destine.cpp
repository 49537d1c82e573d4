// Self-attention of pairs and of single fields.
#include <cmath>

#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/reduce.h"
#include "ops/softmax.h"

namespace kdef::nn {
namespace {

MlpKeys destine_keys() {
  MlpKeys keys = dnn_keys();
  keys.standard_units = {};
  keys.standard_rate = 0.1;
  return keys;
}

/// A layer, of x [B, F, in]: Q, K, V, U linear maps of x with biases (relu_before_att: relu of Q, K, V), Q and K
/// without their mean over the fields; the attention is softmax(Q K^T [/ sqrt(head size)]) + softmax over the fields of
/// U, which is the same for all n; y = attention V [+ W_res x]. As in FuxiCTR, heads are cut from the flat block [F A]
/// of a row, so that a head has runs of it, not columns; U [F, heads] is cut alike. Names: W_q.*, W_k.*, W_v.*,
/// W_unary.*, W_res.*.
class DisentangledAttention final : public Module {
 public:
  DisentangledAttention(int64_t in, const Settings& s, Builder& build)
      : heads_(s.integer("num_heads")),
        width_(s.integer("attention_dim")),
        relu_(s.flag("relu_before_att")),
        scale_(s.flag("use_scale")),
        q_(add_child("W_q", std::make_unique<Linear>(in, width_, build))),
        k_(add_child("W_k", std::make_unique<Linear>(in, width_, build))),
        v_(add_child("W_v", std::make_unique<Linear>(in, width_, build))),
        unary_(add_child("W_unary", std::make_unique<Linear>(in, heads_, build))) {
    if (s.text("residual_mode") == "each_layer")
      res_ = &add_child("W_res", std::make_unique<Linear>(in, width_, build));
    const double rate = s.number("att_dropout");
    if (rate > 0) dropout_ = &add_child("dropout", std::make_unique<Dropout>(rate, build));
  }
  Tensor forward(const Tensor& x, const Pass& pass) const {
    const int64_t rows = x.shape()[0], fields = x.shape()[1], size = width_ / heads_;
    const Tensor flat = ops::reshape(x, {rows * fields, x.shape()[2]});
    const auto cut = [&](const Linear& linear, bool activated) {
      const Tensor y = linear.forward(flat);
      return ops::reshape(activated ? ops::relu(y) : y, {rows * heads_, fields, size});
    };
    const auto centred = [](const Tensor& t) { return ops::sub(t, ops::mean(t, 1, true)); };
    Tensor scores = ops::matmul(centred(cut(q_, relu_)), centred(cut(k_, relu_)), false, true);
    if (scale_) scores = ops::scale(scores, 1.0 / std::sqrt(static_cast<double>(size)));
    const Tensor single = ops::softmax(ops::reshape(unary_.forward(flat), {rows, fields, heads_}), 1);
    Tensor attention = ops::add(ops::softmax(scores, 2), ops::reshape(single, {rows * heads_, 1, fields}));
    if (dropout_) {
      const Shape of_rows{rows, heads_, fields, fields};
      attention = ops::reshape(dropout_->forward(ops::reshape(attention, of_rows), pass), scores.shape());
    }
    const Tensor y = ops::reshape(ops::matmul(attention, cut(v_, relu_)), {rows, fields, width_});
    return res_ ? ops::add(y, ops::reshape(res_->forward(flat), {rows, fields, width_})) : y;
  }

 private:
  int64_t heads_, width_;
  bool relu_, scale_;
  Linear &q_, &k_, &v_, &unary_;
  Linear* res_ = nullptr;
  Dropout* dropout_ = nullptr;
};

/// DESTINE (Xu et al., CIKM 2021, arXiv 2101.03654): z = fc(flatten(layers(e) [+ W_res e])) + first order + MLP(x).
/// Names: self_attns.L.*, W_res.*, attn_fc.*, lr.*, dnn.mlp.*.
class Destine final : public SumNetwork {
 public:
  Destine(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    const int64_t width = s.integer("attention_dim"), heads = s.integer("num_heads");
    if (width % heads != 0) {
      throw InputError(cat("network DESTINE: attention_dim ", width, " is not divisible by num_heads ", heads));
    }
    for (int64_t l = 0; l < s.integer("attention_layers"); ++l) {
      layers_.push_back(&add_child(cat("self_attns.", l),
                                   std::make_unique<DisentangledAttention>(l == 0 ? shape.dim : width, s, build)));
    }
    if (s.text("residual_mode") == "last_layer") {
      res_ = &add_child("W_res", std::make_unique<Linear>(shape.dim, width, build));
    }
    Linear& fc = add_child("attn_fc", std::make_unique<Linear>(shape.fields * width, 1, build));
    add_part({shape.fields * width, [this](const Fields& x, const Pass& pass) { return attention(x.whole(), pass); },
              [&fc](const Tensor& h) { return fc.forward(h); }});
    if (s.flag("use_wide")) add_first_order("lr", true, shape, build);
    const MlpConfig dnn = mlp_config(s, destine_keys());
    if (!dnn.hidden_units.empty()) add_mlp("dnn", dnn, shape, build);
  }

 private:
  Tensor attention(const Tensor& e, const Pass& pass) const {
    Tensor x = e;
    for (const DisentangledAttention* layer : layers_) x = layer->forward(x, pass);
    if (!res_) return flatten(x);
    const Tensor flat = ops::reshape(e, {e.shape()[0] * e.shape()[1], e.shape()[2]});
    return flatten(ops::add(x, ops::reshape(res_->forward(flat), x.shape())));
  }
  std::vector<DisentangledAttention*> layers_;
  Linear* res_ = nullptr;
};

}  // namespace

NetworkType DESTINE_network() {
  return {.name = "DESTINE",
          .title = "Disentangled self-attention",
          .source = "Xu et al., CIKM 2021, arXiv 2101.03654",
          .formula = "z = fc((softmax(Q K^T) + softmax(U)) V) + LR [+ MLP(x)]",
          .make = make<Destine>,
          .keys = {integer_setting("attention_layers", 2, 1, kMaxLayers, "number of attention layers"),
                   integer_setting("num_heads", 2, 1, kMaxWidth, "heads of each attention layer"),
                   integer_setting("attention_dim", 16, 1, kMaxWidth, "width of all heads together").with_small(4),
                   choice_setting("residual_mode", "each_layer", {"each_layer", "last_layer", "none"},
                                  "whether a linear map of the input is added in every layer, or of e at the end")
                       .with_null("none"),
                   flag_setting("relu_before_att", false, "relu of queries, keys and values"),
                   flag_setting("use_scale", false, "attention scores are divided by sqrt(head size)"),
                   flag_setting("use_wide", true, "a first order part is added"),
                   number_setting("att_dropout", 0.1, 0, 0.999999, "dropout rate of the attention")},
          .fuxictr = true,
          .mlps = {destine_keys()}};
}

}  // namespace kdef::nn
