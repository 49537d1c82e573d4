// Interactions of embeddings as complex numbers.
#include <cmath>

#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/softmax.h"

namespace kdef::nn {
namespace {

/// Orders [n, m] of m products of n fields: the identity where n = m; otherwise each column is nearly one field of
/// them, softmax over n of normal numbers with standard deviation 100.
Tensor some_orders(int64_t n, int64_t m, Builder& build) {
  const Tensor random = build.normal({n, m}, 100);
  if (n != m) return ops::softmax(random, 0).detach();
  std::vector<double> identity(static_cast<size_t>(n * n), 0.0);
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) identity[i * static_cast<size_t>(n) + i] = 1;
  Tensor orders = random;
  orders.copy_from(Tensor::from(identity, {n, n}).to(build.dtype()));
  return orders;
}

/// A vector of n complex numbers r + i p per column of the embedding, [B, n, D] each.
struct Complex {
  Tensor r, p;
};

/// One layer, from n to m complex numbers: with a = ln(r^2 + p^2 + 1e-8) / 2, t = the angle of (r, p), and per column
/// of the embedding over the n numbers a' = O^T a + b_a, t' = O^T t + b_t,
///   r' = relu(W r + c) + e^a' cos t',  p' = relu(W p + c) + e^a' sin t',
/// W and c of the flattened r and of the flattened p; each then normalised over D, if wanted.
/// Names: inter_orders [n, m] (O), bias_lam and bias_theta [1, D, m] (b_a, b_t), im.*, norm_r.*, norm_p.*.
class EulerLayer final : public Module {
 public:
  EulerLayer(int64_t n, int64_t m, int64_t dim, const Settings& s, Builder& build)
      : m_(m),
        dim_(dim),
        normalised_(s.flag("layer_norm")),
        drop_a_(s.number("net_ex_dropout"), build),
        drop_t_(s.number("net_ex_dropout"), build),
        drop_r_(s.number("net_im_dropout"), build),
        drop_p_(s.number("net_im_dropout"), build) {
    orders_ = add_parameter("inter_orders", some_orders(n, m, build));
    bias_a_ = add_parameter("bias_lam", build.normal({1, dim, m}, 0.01));
    bias_t_ = add_parameter("bias_theta", build.normal({1, dim, m}, 0.01));
    // Xavier uniform; the bias as PyTorch has it.
    const double bound = std::sqrt(6.0 / static_cast<double>((n + m) * dim)),
                 bias = 1 / std::sqrt(static_cast<double>(n * dim));
    weight_ = add_parameter("im.weight", build.uniform({m * dim, n * dim}, -bound, bound));
    bias_ = add_parameter("im.bias", build.uniform({m * dim}, -bias, bias));
    norm_r_ = &add_child("norm_r", std::make_unique<LayerNorm>(dim, build));
    norm_p_ = &add_child("norm_p", std::make_unique<LayerNorm>(dim, build));
  }
  Complex forward(const Complex& x, const Pass& pass) const {
    const Tensor square = ops::shift(ops::add(ops::square(x.r), ops::square(x.p)), 1e-8);
    const Tensor a = drop_a_.forward(ops::scale(ops::log(square), 0.5), pass);
    const Tensor t = drop_t_.forward(ops::atan2(x.p, x.r), pass);
    const Tensor length = ops::exp(products(a, bias_a_)), angle = products(t, bias_t_);
    Tensor r = ops::add(sums(x.r, drop_r_, pass), ops::mul(length, ops::cos(angle)));
    Tensor p = ops::add(sums(x.p, drop_p_, pass), ops::mul(length, ops::sin(angle)));
    return normalised_ ? Complex{norm_r_->forward(r), norm_p_->forward(p)} : Complex{r, p};
  }

 private:
  // Sums of logarithms: x [B, n, D] -> [B, m, D], x'[o] = sum over f of O[f, o] x[f] + b[o].
  Tensor products(const Tensor& x, const Tensor& bias) const {
    const int64_t rows = x.shape()[0], n = x.shape()[1];
    const Tensor columns = ops::reshape(ops::transpose(x, 1, 2), {rows * dim_, n});
    const Tensor y = ops::reshape(ops::matmul(columns, orders_), {rows, dim_, m_});
    return ops::transpose(ops::add(y, bias), 1, 2);
  }
  // relu(W x + c), [B, m, D].
  Tensor sums(const Tensor& x, const Dropout& dropout, const Pass& pass) const {
    const Tensor y = ops::linear(dropout.forward(flatten(x), pass), weight_, bias_);
    return ops::reshape(ops::relu(y), {x.shape()[0], m_, dim_});
  }

  int64_t m_, dim_;
  bool normalised_;
  Dropout drop_a_, drop_t_, drop_r_, drop_p_;
  Tensor orders_, bias_a_, bias_t_, weight_, bias_;
  LayerNorm *norm_r_ = nullptr, *norm_p_ = nullptr;
};

/// EulerNet (Tian et al., SIGIR 2023, arXiv 2304.10711): r = mu cos e, p = mu sin e with one mu per field; an
/// EulerLayer per number of `shape`; z = w . flatten(r) + b + w . flatten(p) + b. Names: mu [1, F, 1],
/// Euler_interaction_layers.L.*, reg.*.
class EulerNet final : public Network {
 public:
  EulerNet(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    mu_ = add_parameter("mu", build.constant({1, shape.fields, 1}, 1));
    int64_t n = shape.fields;
    for (const int64_t m : config.settings.integers("shape")) {
      layers_.push_back(&add_child(cat("Euler_interaction_layers.", layers_.size()),
                                   std::make_unique<EulerLayer>(n, m, shape.dim, config.settings, build)));
      n = m;
    }
    width_ = n * shape.dim;
    const double bound = 1 / std::sqrt(static_cast<double>(width_));
    weight_ = add_parameter("reg.weight", build.xavier_normal(1, width_));
    bias_ = add_parameter("reg.bias", build.uniform({1}, -bound, bound));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    const Tensor& e = fields.whole();
    Complex x{ops::mul(mu_, ops::cos(e)), ops::mul(mu_, ops::sin(e))};
    for (const EulerLayer* layer : layers_) x = layer->forward(x, pass);
    return ops::concat({flatten(x.r), flatten(x.p)}, 1);
  }
  Tensor output(const Tensor& h) const override {
    const Tensor r = ops::slice(h, 1, 0, width_), p = ops::slice(h, 1, width_, width_);
    return ops::add(ops::linear(r, weight_, bias_), ops::linear(p, weight_, bias_));
  }
  int64_t hidden_width() const override { return 2 * width_; }

 private:
  int64_t width_ = 0;
  Tensor mu_, weight_, bias_;
  std::vector<const EulerLayer*> layers_;
};

SettingKey rate(const std::string& name, const std::string& meaning) {
  SettingKey key = number_setting(name, 0, 0, 1, meaning).with_small(0.2);
  key.below = true;
  return key;
}

}  // namespace

NetworkType EulerNet_network() {
  return {.name = "EulerNet",
          .title = "Interactions of embeddings as complex numbers",
          .source = "Tian et al., SIGIR 2023, arXiv 2304.10711",
          .formula =
              "z = w . r + w . p + 2 b, r + i p = L layers of relu(W r) + e^a cos t, relu(W p) + e^a sin t, a and t "
              "sums over the fields of ln |r + i p| and of its angle",
          .make = make<EulerNet>,
          .keys = {widths_setting("shape", {3}, "complex numbers of each layer").with_small(std::vector<int64_t>{4, 2}),
                   rate("net_ex_dropout", "dropout rate of logarithms and angles"),
                   rate("net_im_dropout", "dropout rate of the real and imaginary parts"),
                   flag_setting("layer_norm", false, "layer normalisation of every layer").with_small(true)},
          .fuxictr = true};
}

}  // namespace kdef::nn
