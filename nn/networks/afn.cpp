// The adaptive factorization network.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

MlpKeys afn_keys() {
  return {.units = "afn_hidden_units",
          .activations = "afn_activations",
          .dropout = "afn_dropout",
          .standard_norm = true,
          .of = "behind the logarithmic neurons"};
}
MlpKeys afn_dnn_keys() {
  MlpKeys keys = dnn_keys();
  keys.dropout = "dnn_dropout";
  keys.standard_norm = true;
  return keys;
}

/// AFN (Cheng, Shen, Huang, AAAI 2020, arXiv 1909.03276): logarithmic neurons v = exp(W BN(ln max(|e|, 1e-5))) over the
/// fields, batch norm over the neurons, an MLP. AFN+: beside it an MLP on embeddings e' by tables of its own, and
/// z = fc([both logits]). kdef_afn reads e in both. Batch norm of [B, C, D] is over batch and dimension, per channel C.
/// Names: coefficient_W.weight, dense_layer.mlp.*, log_batch_norm.*, exp_batch_norm.*, embedding_layer2.*, dnn.mlp.*,
/// fc.*.
class Afn final : public Network {
 public:
  Afn(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : neurons_(config.settings.integer("logarithmic_neurons")),
        coefficients_(add_child("coefficient_W", std::make_unique<Linear>(shape.fields, neurons_, build, false))) {
    require_uniform(config.network, shape);
    const bool fuxictr = config.network == "AFN";
    const Settings& s = config.settings;
    dense_ = &add_child(
        "dense_layer",
        std::make_unique<Mlp>(shape.dim * neurons_, fuxictr ? mlp_config(s, afn_keys()) : behind(config), build));
    log_norm_ = &add_child("log_batch_norm", std::make_unique<BatchNorm1d>(shape.fields, build));
    exp_norm_ = &add_child("exp_batch_norm", std::make_unique<BatchNorm1d>(neurons_, build));
    if (fuxictr && !s.flag("ensemble_dnn")) return;
    if (fuxictr) {
      second_ = &add_child("embedding_layer2", std::make_unique<EmbeddingTables>(shape.list, shape.dim, build));
    }
    dnn_ = &add_child(
        "dnn", std::make_unique<Mlp>(shape.width, fuxictr ? mlp_config(s, afn_dnn_keys()) : mlp_config(config), build));
    fc_ = &add_child("fc", std::make_unique<Linear>(2, 1, build));
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    const Tensor& e = x.whole();
    const int64_t rows = e.shape()[0], fields = e.shape()[1], dim = e.shape()[2];
    const Tensor magnitude = ops::log(ops::clamp_min(ops::abs(e), 1e-5));
    // Rows of [B D, channels]: batch norm and the linear map both act on the channels.
    const Tensor logs = log_norm_->forward(ops::reshape(ops::transpose(magnitude, 1, 2), {rows * dim, fields}), pass);
    const Tensor neurons = exp_norm_->forward(ops::exp(coefficients_.forward(logs)), pass);
    const Tensor cross = ops::transpose(ops::reshape(neurons, {rows, dim, neurons_}), 1, 2);
    const Tensor h = dense_->hidden(flatten(cross), pass);
    if (dnn_ == nullptr) return h;
    return ops::concat({h, dnn_->hidden(second_ ? x.through(*second_).flat() : x.flat(), pass)}, 1);
  }
  Tensor output(const Tensor& h) const override {
    if (dnn_ == nullptr) return dense_->output(h);
    const int64_t first = dense_->hidden_width(), second = dnn_->hidden_width();
    const Tensor afn = dense_->output(ops::slice(h, 1, 0, first));
    const Tensor dnn = dnn_->output(ops::slice(h, 1, first, second));
    return fc_->forward(ops::concat({afn, dnn}, 1));
  }
  int64_t hidden_width() const override { return dense_->hidden_width() + (dnn_ ? dnn_->hidden_width() : 0); }

 private:
  // The MLP behind the neurons of kdef_afn has its own widths.
  static MlpConfig behind(NetworkConfig config) {
    config.hidden_units = config.settings.integers("afn_hidden_units");
    config.hidden_activations.resize(config.hidden_units.size(), "relu");
    config.dropout.resize(config.hidden_units.size(), config.dropout.empty() ? 0.0 : config.dropout.back());
    return mlp_config(config);
  }
  int64_t neurons_;
  Linear& coefficients_;
  Mlp* dense_ = nullptr;
  BatchNorm1d *log_norm_ = nullptr, *exp_norm_ = nullptr;
  EmbeddingTables* second_ = nullptr;
  Mlp* dnn_ = nullptr;
  Linear* fc_ = nullptr;
};

SettingKey neurons() {
  return integer_setting("logarithmic_neurons", 5, 1, kMaxWidth, "number of logarithmic neurons").with_small(3);
}

}  // namespace

NetworkType kdef_afn_network() {
  return {.name = "kdef_afn",
          .title = "Adaptive factorization network with an MLP (AFN+) as KDEF's authors have it, on one set of tables",
          .source = "Cheng, Shen, Huang, AAAI 2020, arXiv 1909.03276",
          .formula = "z = fc([MLP_1(exp(W BN(ln max(|e|, 1e-5)))), MLP_2(x)])",
          .make = make<Afn>,
          .keys = {widths_setting("afn_hidden_units", {}, "width of each layer behind the logarithmic neurons")
                       .with_small(std::vector<int64_t>{4}),
                   neurons()}};
}

NetworkType AFN_network() {
  return {.name = "AFN",
          .title = "Adaptive factorization network, with an MLP AFN+",
          .source = "Cheng, Shen, Huang, AAAI 2020, arXiv 1909.03276",
          .formula = "z = fc([MLP_1(exp(W BN(ln max(|e|, 1e-5)))), MLP_2(x')]), x' by tables of its own",
          .make = make<Afn>,
          .keys = {flag_setting("ensemble_dnn", true, "an MLP with tables of its own stands beside the neurons (AFN+)"),
                   neurons()},
          .fuxictr = true,
          .mlps = {afn_keys(), afn_dnn_keys()}};
}

}  // namespace kdef::nn
