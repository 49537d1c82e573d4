// Self-attention over the fields.
#include <cmath>

#include "nn/networks/networks.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/softmax.h"

namespace kdef::nn {
namespace {

/// One layer of multi-head self-attention (Vaswani et al. 2017, arXiv 1706.03762) over the fields of x [B, F, in]: per
/// head softmax(Q K^T / sqrt(head size)) V, heads side by side, plus x (or W_res x), layer norm, ReLU -> [B, F, A].
class Attention final : public Module {
 public:
  Attention(int64_t in, const NetworkConfig& c, Builder& build)
      : heads_(c.num_heads),
        size_(c.attention_dim / c.num_heads),
        scale_(c.use_scale),
        residual_(c.use_residual),
        q_(add_child("W_q", std::make_unique<Linear>(in, c.attention_dim, build, false))),
        k_(add_child("W_k", std::make_unique<Linear>(in, c.attention_dim, build, false))),
        v_(add_child("W_v", std::make_unique<Linear>(in, c.attention_dim, build, false))) {
    if (c.use_residual && in != c.attention_dim) {
      res_ = &add_child("W_res", std::make_unique<Linear>(in, c.attention_dim, build, false));
    }
    const double rate = c.dropout.empty() ? 0.0 : c.dropout[0];
    if (rate > 0) dropout_ = &add_child("dropout", std::make_unique<Dropout>(rate, build));
    if (c.layer_norm) norm_ = &add_child("layer_norm", std::make_unique<LayerNorm>(c.attention_dim, build));
  }

  Tensor forward(const Tensor& x, const Pass& pass) const {
    const int64_t rows = x.shape()[0], fields = x.shape()[1], width = heads_ * size_;
    const Tensor flat = ops::reshape(x, {rows * fields, x.shape()[2]});
    // [B F, A] -> [B heads, F, size]
    const auto by_head = [&](const Tensor& t) {
      const Tensor split = ops::transpose(ops::reshape(t, {rows, fields, heads_, size_}), 1, 2);
      return ops::reshape(split, {rows * heads_, fields, size_});
    };
    const Tensor q = by_head(q_.forward(flat)), k = by_head(k_.forward(flat)), v = by_head(v_.forward(flat));
    Tensor scores = ops::matmul(q, k, false, true);
    if (scale_) scores = ops::scale(scores, 1.0 / std::sqrt(static_cast<double>(size_)));
    Tensor attention = ops::softmax(scores, -1);
    if (dropout_) attention = dropout_->forward(attention, pass);
    const Tensor heads = ops::reshape(ops::matmul(attention, v), {rows, heads_, fields, size_});
    Tensor y = ops::reshape(ops::transpose(heads, 1, 2), {rows, fields, width});
    if (res_)
      y = ops::add(y, ops::reshape(res_->forward(flat), {rows, fields, width}));
    else if (residual_)
      y = ops::add(y, x);
    if (norm_) y = norm_->forward(y);
    return ops::relu(y);
  }

 private:
  int64_t heads_, size_;
  bool scale_, residual_;
  Linear &q_, &k_, &v_;
  Linear* res_ = nullptr;
  Dropout* dropout_ = nullptr;
  LayerNorm* norm_ = nullptr;
};

/// autoint (Song et al., CIKM 2019, arXiv 1810.11921): z = fc(flatten(attention layers(e))) + MLP(flatten(e)).
class AutoInt final : public Network {
 public:
  AutoInt(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : attention_width_(shape.fields * config.attention_dim),
        dnn_width_(nn::hidden_width(config, shape.width)),
        dnn_(add_child("dnn", std::make_unique<Mlp>(shape.width, dnn_config(config), build))) {
    require_uniform("autoint", shape);
    if (config.num_heads < 1 || config.attention_dim % config.num_heads != 0) {
      throw InputError(cat("network autoint: attention_dim ", config.attention_dim, " is not divisible by num_heads ",
                           config.num_heads));
    }
    for (int64_t i = 0; i < config.attention_layers; ++i) {
      layers_.push_back(
          &add_child(cat("self_attention.", i),
                     std::make_unique<Attention>(i == 0 ? shape.dim : config.attention_dim, config, build)));
    }
    fc_ = &add_child("fc", std::make_unique<Linear>(attention_width_, 1, build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    Tensor x = fields.whole();
    for (const Attention* layer : layers_) {
      x = layer->forward(x, pass);
      pass.show(flatten(x));
    }
    return ops::concat({flatten(x), dnn_.hidden(fields.flat(), pass)}, 1);
  }
  Tensor output(const Tensor& h) const override {
    return ops::add(fc_->forward(ops::slice(h, 1, 0, attention_width_)),
                    dnn_.output(ops::slice(h, 1, attention_width_, dnn_width_)));
  }
  int64_t hidden_width() const override { return attention_width_ + dnn_width_; }

 private:
  // layer_norm is the attention layers'; the MLP has batch norm or none.
  static MlpConfig dnn_config(const NetworkConfig& config) {
    MlpConfig mlp = mlp_config(config);
    mlp.layer_norm = false;
    return mlp;
  }
  int64_t attention_width_, dnn_width_;
  Mlp& dnn_;
  std::vector<Attention*> layers_;
  Linear* fc_ = nullptr;
};

}  // namespace

std::unique_ptr<Network> make_autoint(const NetworkConfig& c, const EmbeddingShape& s, Builder& b) {
  return std::make_unique<AutoInt>(c, s, b);
}

}  // namespace kdef::nn
