// Networks of two multilayer perceptrons.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

MlpKeys mlp_keys(int k) {
  const std::string mlp = cat("mlp", k);
  return {.units = mlp + "_hidden_units",
          .activations = mlp + "_hidden_activations",
          .dropout = mlp + "_dropout",
          .batch_norm = mlp + "_batch_norm",
          .of = "of " + mlp};
}

/// DualMLP (Mao et al., AAAI 2023, arXiv 2304.00902): z = MLP_1(x) + MLP_2(x). Names: mlp1.mlp.*, mlp2.mlp.*.
class DualMlp final : public SumNetwork {
 public:
  DualMlp(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    add_mlp("mlp1", mlp_config(config.settings, mlp_keys(1)), shape, build);
    add_mlp("mlp2", mlp_config(config.settings, mlp_keys(2)), shape, build);
  }
};

/// The feature selection of one stream: x * 2 sigmoid(MLP(c)), c the embeddings of the context fields by tables of its
/// own, or a trained vector [1, D] where there are no such fields.
/// Names: fsK_ctx_bias, or fsK_ctx_emb.embedding_layer.embedding_layers.FIELD.weight; fsK_gate.mlp.*.
class FeatureSelection final : public Module {
 public:
  FeatureSelection(int k, const Settings& s, const EmbeddingShape& shape, Builder& build) {
    const std::string name = cat("fs", k);
    const std::vector<EmbeddingField> fields =
        fields_named(s.texts(name + "_context"), cat("network FinalMLP: ", name, "_context"), shape);
    int64_t width = shape.dim;
    if (fields.empty()) {
      constant_ = add_parameter(name + "_ctx_bias", build.constant({1, shape.dim}, 0));
    } else {
      tables_ = &add_child(name + "_ctx_emb", std::make_unique<EmbeddingTables>(fields, shape.dim, build));
      width = tables_->shape().width;
    }
    MlpConfig gate{.hidden_units = s.integers("fs_hidden_units")};
    gate.activations.assign(gate.hidden_units.size(), Activation::relu);
    gate.dropout.assign(gate.hidden_units.size(), 0.0);
    gate.output = shape.width;
    gate_ = &add_child(name + "_gate", std::make_unique<Mlp>(width, gate, build));
  }
  Tensor forward(const Fields& x, const Pass& pass) const {
    Pass without_tap = pass;  // the layers of a constant are no layers of the rows
    without_tap.tap = nullptr;
    const Tensor gate =
        tables_ ? gate_->forward(x.through(*tables_).flat(), pass) : gate_->forward(constant_, without_tap);
    return ops::mul(x.flat(), ops::scale(ops::sigmoid(gate), 2));
  }

 private:
  Tensor constant_;
  EmbeddingTables* tables_ = nullptr;
  Mlp* gate_ = nullptr;
};

/// FinalMLP (Mao et al., AAAI 2023, arXiv 2304.00902): h_k = MLP_k(x * gate_k) without head, and with H heads, which
/// cut h_1 and h_2 into equal parts,
///   z = w_x . h_1 + b_x + w_y . h_2 + b_y + sum over heads t of h_1t^T W_t h_2t.
/// Names: mlpK.mlp.*, fs_module.*, fusion_module.{w_x,w_y}.*, fusion_module.w_xy [H d_1 d_2, 1].
class FinalMlp final : public Network {
 public:
  FinalMlp(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : heads_(config.settings.integer("num_heads")) {
    const Settings& s = config.settings;
    require_uniform(config.network, shape);
    for (int k = 1; k <= 2; ++k) {
      Mlp& mlp = add_child(cat("mlp", k), std::make_unique<Mlp>(shape.width, mlp_config(s, mlp_keys(k), 0), build));
      if (mlp.hidden_width() % heads_ != 0) {
        throw InputError(cat("network FinalMLP: the last width of mlp", k, ", ", mlp.hidden_width(),
                             ", is not divisible by num_heads ", heads_));
      }
      mlps_.push_back(&mlp);
      const char* linear = k == 1 ? "fusion_module.w_x" : "fusion_module.w_y";
      linear_.push_back(&add_child(linear, std::make_unique<Linear>(mlp.hidden_width(), 1, build)));
      if (s.flag("use_fs")) {
        selection_.push_back(&add_child("fs_module", std::make_unique<FeatureSelection>(k, s, shape, build)));
      }
    }
    const int64_t weights = mlps_[0]->hidden_width() * mlps_[1]->hidden_width() / heads_;
    fusion_ = add_parameter("fusion_module.w_xy", build.xavier_normal(weights, 1));
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    std::vector<Tensor> all;
    for (size_t k = 0; k < 2; ++k) {
      all.push_back(selection_.empty() ? mlps_[k]->forward(x, pass)
                                       : mlps_[k]->forward(selection_[k]->forward(x, pass), pass));
    }
    return ops::concat(all, 1);
  }
  Tensor output(const Tensor& h) const override {
    const int64_t first = mlps_[0]->hidden_width(), second = mlps_[1]->hidden_width(), rows = h.shape()[0];
    const int64_t d1 = first / heads_, d2 = second / heads_;
    const Tensor h1 = ops::slice(h, 1, 0, first), h2 = ops::slice(h, 1, first, second);
    Tensor z = ops::add(linear_[0]->forward(h1), linear_[1]->forward(h2));
    for (int64_t t = 0; t < heads_; ++t) {
      const Tensor w = ops::reshape(ops::slice(fusion_, 0, t * d1 * d2, d1 * d2), {d1, d2});
      const Tensor part = ops::matmul(ops::slice(h1, 1, t * d1, d1), w);
      z = ops::add(z, ops::sum(ops::mul(part, ops::slice(h2, 1, t * d2, d2)), 1, true));
    }
    return ops::reshape(z, {rows, 1});
  }
  int64_t hidden_width() const override { return mlps_[0]->hidden_width() + mlps_[1]->hidden_width(); }

 private:
  int64_t heads_;
  std::vector<Mlp*> mlps_;
  std::vector<Linear*> linear_;
  std::vector<FeatureSelection*> selection_;
  Tensor fusion_;
};

}  // namespace

NetworkType DualMLP_network() {
  return {.name = "DualMLP",
          .title = "Two MLPs",
          .source = "Mao et al., AAAI 2023, arXiv 2304.00902",
          .formula = "z = MLP_1(x) + MLP_2(x)",
          .make = make<DualMlp>,
          .fuxictr = true,
          .mlps = {mlp_keys(1), mlp_keys(2)}};
}

NetworkType FinalMLP_network() {
  const std::string context = "columns whose embeddings, by tables of their own, gate the inputs of mlp";
  return {.name = "FinalMLP",
          .title = "Two MLPs with feature selection and a bilinear fusion",
          .source = "Mao et al., AAAI 2023, arXiv 2304.00902",
          .formula = "z = w_1 . h_1 + w_2 . h_2 + b + sum over heads of h_1t^T W_t h_2t, h_k = MLP_k(x * gate_k)",
          .make = make<FinalMlp>,
          .keys = {flag_setting("use_fs", true, "feature selection: the inputs of both MLPs are gated"),
                   widths_setting("fs_hidden_units", {64}, "width of each hidden layer of the gates' MLPs")
                       .with_small(std::vector<int64_t>{3}),
                   texts_setting("fs1_context", {}, {}, context + "1; none: a trained vector does")
                       .with_small(std::vector<std::string>{"user"}),
                   texts_setting("fs2_context", {}, {}, context + "2; none: a trained vector does"),
                   integer_setting("num_heads", 1, 1, kMaxWidth, "heads of the fusion").with_small(2)},
          .fuxictr = true,
          .mlps = {mlp_keys(1), mlp_keys(2)}};
}

}  // namespace kdef::nn
