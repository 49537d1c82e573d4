// The adaptive factorization network.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

/// afn (Cheng, Shen, Huang, AAAI 2020, arXiv 1909.03276): logarithmic neurons v = exp(W BN(ln max(|e|, 1e-5))) over the
/// fields, batch norm over the neurons, an MLP; beside it an MLP on the embeddings; z = fc([both logits]).
/// Batch norm of [B, C, D] is over batch and dimension, per channel C.
class Afn final : public Network {
 public:
  Afn(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : neurons_(config.settings.integer("logarithmic_neurons")),
        coefficients_(add_child("coefficient_W", std::make_unique<Linear>(shape.fields, neurons_, build, false))),
        dense_(add_child("dense_layer",
                         std::make_unique<Mlp>(shape.dim * neurons_, mlp_config(afn_config(config)), build))),
        log_norm_(add_child("log_batch_norm", std::make_unique<BatchNorm1d>(shape.fields, build))),
        exp_norm_(add_child("exp_batch_norm", std::make_unique<BatchNorm1d>(neurons_, build))),
        dnn_(add_child("dnn", std::make_unique<Mlp>(shape.width, mlp_config(config), build))),
        fc_(add_child("fc", std::make_unique<Linear>(2, 1, build))) {
    require_uniform("afn", shape);
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    const Tensor& e = x.whole();
    const int64_t rows = e.shape()[0], fields = e.shape()[1], dim = e.shape()[2];
    const Tensor magnitude = ops::log(ops::clamp_min(ops::abs(e), 1e-5));
    // Rows of [B D, channels]: batch norm and the linear map both act on the channels.
    const Tensor logs = log_norm_.forward(ops::reshape(ops::transpose(magnitude, 1, 2), {rows * dim, fields}), pass);
    const Tensor neurons = exp_norm_.forward(ops::exp(coefficients_.forward(logs)), pass);
    const Tensor cross = ops::transpose(ops::reshape(neurons, {rows, dim, neurons_}), 1, 2);
    return ops::concat({dense_.hidden(flatten(cross), pass), dnn_.hidden(x.flat(), pass)}, 1);
  }
  Tensor output(const Tensor& h) const override {
    const int64_t first = dense_.hidden_width(), second = dnn_.hidden_width();
    const Tensor afn = dense_.output(ops::slice(h, 1, 0, first));
    const Tensor dnn = dnn_.output(ops::slice(h, 1, first, second));
    return fc_.forward(ops::concat({afn, dnn}, 1));
  }
  int64_t hidden_width() const override { return dense_.hidden_width() + dnn_.hidden_width(); }

 private:
  // The MLP behind the neurons has its own widths.
  static NetworkConfig afn_config(NetworkConfig config) {
    config.hidden_units = config.settings.integers("afn_hidden_units");
    config.hidden_activations.resize(config.hidden_units.size(), "relu");
    config.dropout.resize(config.hidden_units.size(), config.dropout.empty() ? 0.0 : config.dropout.back());
    return config;
  }
  int64_t neurons_;
  Linear& coefficients_;
  Mlp& dense_;
  BatchNorm1d &log_norm_, &exp_norm_;
  Mlp& dnn_;
  Linear& fc_;
};

}  // namespace

NetworkType afn_network() {
  return {
      .name = "afn",
      .title = "Adaptive factorization network with an MLP (AFN+, on one set of tables)",
      .source = "Cheng, Shen, Huang, AAAI 2020, arXiv 1909.03276",
      .formula = "z = fc([MLP_1(exp(W BN(ln max(|e|, 1e-5)))), MLP_2(x)])",
      .make = make<Afn>,
      .keys = {widths_setting("afn_hidden_units", {}, "width of each layer behind the logarithmic neurons")
                   .with_small(std::vector<int64_t>{4}),
               integer_setting("logarithmic_neurons", 5, 1, kMaxWidth, "number of logarithmic neurons").with_small(3)}};
}

}  // namespace kdef::nn
