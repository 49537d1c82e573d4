// Hierarchical attention over interactions.
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

MlpKeys interhat_keys() {
  MlpKeys keys = hidden_keys();
  keys.standard_units = {64, 64};
  return keys;
}

/// linear of the last axis of x [B, n, in]: [B, n, out].
Tensor per_field(const Linear& linear, const Tensor& x) {
  const int64_t rows = x.shape()[0], n = x.shape()[1];
  const Tensor y = linear.forward(ops::reshape(x, {rows * n, x.shape()[2]}));
  return ops::reshape(y, {rows, n, y.shape()[1]});
}

/// x [B, F, D] -> LN(x + relu(W_res (softmax(Q K^T / sqrt(A)) V))), A = attention_dim per head. As in FuxiCTR, heads
/// are cut from the flat block [F heads A] of a row. Names: W_q.weight, W_k.weight, W_v.weight, W_res.weight,
/// layer_norm.*.
class FieldAttention final : public Module {
 public:
  FieldAttention(int64_t dim, const Settings& s, Builder& build)
      : heads_(s.integer("num_heads")),
        size_(s.integer("attention_dim")),
        residual_(s.flag("use_residual")),
        q_(add_child("W_q", std::make_unique<Linear>(dim, heads_ * size_, build, false))),
        k_(add_child("W_k", std::make_unique<Linear>(dim, heads_ * size_, build, false))),
        v_(add_child("W_v", std::make_unique<Linear>(dim, heads_ * size_, build, false))) {
    if (dim != heads_ * size_) res_ = &add_child("W_res", std::make_unique<Linear>(heads_ * size_, dim, build, false));
    if (s.flag("layer_norm")) norm_ = &add_child("layer_norm", std::make_unique<LayerNorm>(dim, build));
    const double rate = s.numbers("net_dropout").at(0);
    if (rate <= 0) return;
    inner_ = &add_child("dot_product_attention.dropout", std::make_unique<Dropout>(rate, build));
    outer_ = &add_child("dropout", std::make_unique<Dropout>(rate, build));
  }
  Tensor forward(const Tensor& x, const Pass& pass) const {
    const int64_t rows = x.shape()[0], fields = x.shape()[1];
    const auto cut = [&](const Linear& linear) {
      return ops::reshape(per_field(linear, x), {rows * heads_, fields, size_});
    };
    const Tensor scores =
        ops::scale(ops::matmul(cut(q_), cut(k_), false, true), 1 / std::sqrt(static_cast<double>(size_)));
    Tensor attention = ops::softmax(scores, 2);
    if (inner_) {
      const Shape of_rows{rows, heads_, fields, fields};
      attention = ops::reshape(inner_->forward(ops::reshape(attention, of_rows), pass), scores.shape());
    }
    Tensor y = ops::reshape(ops::matmul(attention, cut(v_)), {rows, fields, heads_ * size_});
    y = ops::relu(res_ ? per_field(*res_, y) : y);
    if (outer_) y = outer_->forward(y, pass);
    if (residual_) y = ops::add(y, x);
    return norm_ ? norm_->forward(y) : y;
  }

 private:
  int64_t heads_, size_;
  bool residual_;
  Linear &q_, &k_, &v_;
  Linear* res_ = nullptr;
  LayerNorm* norm_ = nullptr;
  Dropout *inner_ = nullptr, *outer_ = nullptr;
};

/// x -> LN(W_2 relu(W_1 x + b_1) + b_2 + x). Names: ffn.0.*, ffn.2.*, layer_norm.*.
class FeedForward final : public Module {
 public:
  FeedForward(int64_t dim, int64_t hidden, const Settings& s, Builder& build)
      : residual_(s.flag("use_residual")),
        first_(add_child("ffn.0", std::make_unique<Linear>(dim, hidden, build))),
        second_(add_child("ffn.2", std::make_unique<Linear>(hidden, dim, build))) {
    if (s.flag("layer_norm")) norm_ = &add_child("layer_norm", std::make_unique<LayerNorm>(dim, build));
  }
  Tensor forward(const Tensor& x) const {
    Tensor y = per_field(second_, ops::relu(per_field(first_, x)));
    if (residual_) y = ops::add(y, x);
    return norm_ ? norm_->forward(y) : y;
  }

 private:
  bool residual_;
  Linear &first_, &second_;
  LayerNorm* norm_ = nullptr;
};

/// sum over n of a_n x_n of x [B, n, D], a = softmax over n of w . relu(W x_n + b): [B, D]. Names: agg.0.*,
/// agg.2.weight.
class Aggregation final : public Module {
 public:
  Aggregation(int64_t dim, int64_t hidden, Builder& build)
      : first_(add_child("agg.0", std::make_unique<Linear>(dim, hidden, build))),
        second_(add_child("agg.2", std::make_unique<Linear>(hidden, 1, build, false))) {}
  Tensor forward(const Tensor& x) const {
    const Tensor a = ops::softmax(per_field(second_, ops::relu(per_field(first_, x))), 1);
    return ops::sum(ops::mul(a, x), 1);
  }

 private:
  Linear &first_, &second_;
};

/// InterHAt (Li et al., WSDM 2020): X_1 = FFN(attention(e)); u_p = aggregation_p(X), X <- u_p * X_1 + X, p = 1 ..
/// order; z = MLP(aggregation of [u_1 .. u_order]). Names: multi_head_attention.*, feedforward.*,
/// aggregation_layers.P.*, attentional_score.*, mlp.mlp.*.
class InterHat final : public Network {
 public:
  InterHat(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    const int64_t given = s.integer("hidden_dim"), hidden = given > 0 ? given : 4 * shape.dim;
    attention_ = &add_child("multi_head_attention", std::make_unique<FieldAttention>(shape.dim, s, build));
    feed_ = &add_child("feedforward", std::make_unique<FeedForward>(shape.dim, hidden, s, build));
    for (int64_t p = 0; p < s.integer("order"); ++p) {
      orders_.push_back(
          &add_child(cat("aggregation_layers.", p), std::make_unique<Aggregation>(shape.dim, hidden, build)));
    }
    last_ = &add_child("attentional_score", std::make_unique<Aggregation>(shape.dim, hidden, build));
    mlp_ = &add_child("mlp", std::make_unique<Mlp>(shape.dim, mlp_config(s, interhat_keys()), build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    const Tensor first = feed_->forward(attention_->forward(fields.whole(), pass));
    Tensor x = first;
    std::vector<Tensor> orders;
    for (const Aggregation* order : orders_) {
      const Tensor u = order->forward(x);
      if (orders.size() + 1 < orders_.size()) {
        x = ops::add(ops::mul(ops::reshape(u, {u.shape()[0], 1, u.shape()[1]}), first), x);
      }
      orders.push_back(u);
    }
    return mlp_->hidden(last_->forward(ops::stack(orders, 1)), pass);
  }
  Tensor output(const Tensor& h) const override { return mlp_->output(h); }
  int64_t hidden_width() const override { return mlp_->hidden_width(); }

 private:
  FieldAttention* attention_ = nullptr;
  FeedForward* feed_ = nullptr;
  std::vector<Aggregation*> orders_;
  Aggregation* last_ = nullptr;
  Mlp* mlp_ = nullptr;
};

}  // namespace

NetworkType InterHAt_network() {
  return {
      .name = "InterHAt",
      .title = "Hierarchical attention over interactions of rising order",
      .source = "Li et al., WSDM 2020",
      .formula = "z = MLP(agg([u_1 .. u_order])), u_p = agg_p(X), X <- u_p * X_1 + X, X_1 = FFN(attention(e))",
      .make = make<InterHat>,
      .keys = {integer_setting("order", 2, 1, kMaxLayers, "the largest order of interactions"),
               integer_setting("num_heads", 1, 1, kMaxWidth, "heads of the attention").with_small(2),
               integer_setting("attention_dim", 10, 1, kMaxWidth, "width of each head").with_small(3),
               integer_setting("hidden_dim", 0, 0, kMaxWidth, "width inside aggregations; 0 or null: 4 embedding_dim")
                   .with_null(0),
               flag_setting("layer_norm", true, "layer normalisation behind attention and feed-forward layer"),
               flag_setting("use_residual", true, "the input of attention and feed-forward layer is added")},
      .fuxictr = true,
      .mlps = {interhat_keys()}};
}

}  // namespace kdef::nn
