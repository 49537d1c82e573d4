// The networks of factorized interaction layers.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

/// A block of factorized interaction layers (FINAL; Zhu et al., SIGIR 2023). A layer's linear map gives the halves
/// [h2, h1] = W x + b, which become [h2, h1 * h2] (`sum`: h2 + h1 * h2, from a map to twice the units) before batch
/// norm, activation and dropout. Names: layer.L.linear.*, norm.L.*, activation.L.*.
class Block final : public Module {
 public:
  Block(const std::string& network, int64_t in, const MlpConfig& mlp, bool sum, Builder& build)
      : sum_(sum), width_(in) {
    for (size_t i = 0; i < mlp.hidden_units.size(); ++i) {
      const int64_t units = mlp.hidden_units[i], linear = sum ? 2 * units : units;
      if (linear % 2 != 0) {
        throw InputError(cat("network ", network, ": hidden_units ", units, " must be even: they are halved"));
      }
      const std::string at = "." + std::to_string(i);
      Layer layer;
      layer.linear = &add_child("layer" + at + ".linear", std::make_unique<Linear>(width_, linear, build));
      if (mlp.batch_norm) layer.tail.batch_norm = &add_child("norm" + at, std::make_unique<BatchNorm1d>(units, build));
      if (mlp.activations[i] != Activation::none) {
        layer.tail.activation = &add_child("activation" + at, make_activation(mlp.activations[i], units, build));
      }
      if (mlp.dropout[i] > 0) {
        layer.tail.dropout = &add_child("dropout" + at, std::make_unique<Dropout>(mlp.dropout[i], build));
      }
      layers_.push_back(layer);
      width_ = units;
    }
  }
  Tensor forward(Tensor x, const Pass& pass) const {
    for (const Layer& layer : layers_) {
      const Tensor h = layer.linear->forward(x);
      const int64_t half = h.shape()[1] / 2;
      const Tensor h2 = ops::slice(h, 1, 0, half), product = ops::mul(ops::slice(h, 1, half, half), h2);
      x = layer.tail.forward(sum_ ? ops::add(h2, product) : ops::concat({h2, product}, 1), pass);
    }
    return x;
  }
  int64_t width() const { return width_; }

 private:
  struct Layer {
    Linear* linear = nullptr;
    HiddenTail tail;
  };
  bool sum_;
  int64_t width_;
  std::vector<Layer> layers_;
};

/// The gate of the fields: g_i = sum_j W_ij e_j + b_i; the result is [e ; e * g] [B, 2 F, D]. Names: linear.*.
class FieldGate final : public Module {
 public:
  /// `open`: it starts at weight 0 and bias 1, where g = 1; otherwise as any Linear does.
  FieldGate(int64_t fields, bool open, Builder& build)
      : linear_(add_child("linear", std::make_unique<Linear>(fields, fields, build))) {
    if (!open) return;
    for (Parameter& p : linear_.parameters()) p.tensor.fill(p.name == "bias" ? 1 : 0);
  }
  Tensor forward(const Tensor& e) const {
    const int64_t rows = e.shape()[0], fields = e.shape()[1], dim = e.shape()[2];
    const Tensor by_dim = ops::reshape(ops::transpose(e, 1, 2), {rows * dim, fields});
    const Tensor gate = ops::transpose(ops::reshape(linear_.forward(by_dim), {rows, dim, fields}), 1, 2);
    return ops::concat({e, ops::mul(e, gate)}, 1);
  }

 private:
  Linear& linear_;
};

/// kdef_finalnet: z = fc(block(flatten([e ; e * gate(e)]))).
class KdefFinalNet final : public Network {
 public:
  KdefFinalNet(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : block_(
            add_child("", std::make_unique<Block>(config.network, 2 * shape.width, mlp_config(config), false, build))),
        gate_(add_child("field_gate",
                        std::make_unique<FieldGate>(shape.fields, config.settings.flag("gate_starts_open"), build))),
        fc_(add_child("fc", std::make_unique<Linear>(block_.width(), 1, build))) {
    require_uniform(config.network, shape);
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    return block_.forward(flatten(gate_.forward(x.whole())), pass);
  }
  Tensor output(const Tensor& h) const override { return fc_.forward(h); }
  int64_t hidden_width() const override { return block_.width(); }

 private:
  Block& block_;
  FieldGate& gate_;
  Linear& fc_;
};

MlpKeys block_keys(int k) {
  const std::string block = cat("block", k);
  return {.units = block + "_hidden_units",
          .activations = block + "_hidden_activations",
          .dropout = block + "_dropout",
          .standard_activation = "none",
          .standard_norm = true,
          .of = "of " + block};
}

/// FinalNet (FINAL; Zhu et al., SIGIR 2023): z_1 = fc1(block1([e ; e * gate(e)] or e)); 1B: z = z_1; 2B: z = (z_1 +
/// z_2) / 2, z_2 = fc2(block2(e)). The branches of 2B learn from their mean (equation 10 of the paper): the loss gains
/// BCE(p_1, sg p) + BCE(p_2, sg p), sg a stop-gradient. Names: feature_gating.linear.*, block1.*, fc1.*, block2.*,
/// fc2.*.
class FinalNet final : public Network {
 public:
  FinalNet(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    const bool gated = s.flag("use_feature_gating"), sum = s.text("residual_type") == "sum";
    if (gated) gate_ = &add_child("feature_gating", std::make_unique<FieldGate>(shape.fields, true, build));
    for (int k = 1; k <= (s.text("block_type") == "2B" ? 2 : 1); ++k) {
      const int64_t in = gated && k == 1 ? 2 * shape.width : shape.width;
      Block& block = add_child(
          cat("block", k), std::make_unique<Block>(config.network, in, mlp_config(s, block_keys(k), 0), sum, build));
      branches_.push_back({&block, &add_child(cat("fc", k), std::make_unique<Linear>(block.width(), 1, build))});
    }
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    std::vector<Tensor> all;
    for (const Branch& branch : branches_) {
      const bool gated = gate_ != nullptr && all.empty();
      all.push_back(branch.block->forward(gated ? flatten(gate_->forward(x.whole())) : x.flat(), pass));
    }
    return ops::concat(all, 1);
  }
  Tensor output(const Tensor& h) const override { return ops::mean(logits(h), 1, true); }
  int64_t hidden_width() const override {
    int64_t width = 0;
    for (const Branch& branch : branches_) width += branch.block->width();
    return width;
  }
  NetworkOutput forward_branches(const Fields& x, const Pass& pass) const override {
    const Tensor z = logits(hidden(x, pass));
    if (branches_.size() == 1) return {z, {}};
    return {ops::mean(z, 1, true), z};
  }
  Tensor branch_loss(const NetworkOutput& z, const Tensor&, const TaskFunctions& task) const override {
    return loss_of_taught(z.branches, task.predict(z.logit), task);
  }

 private:
  struct Branch {
    Block* block;
    Linear* fc;
  };
  // Of all branches, [B, K].
  Tensor logits(const Tensor& h) const {
    std::vector<Tensor> all;
    int64_t first = 0;
    for (const Branch& branch : branches_) {
      all.push_back(branch.fc->forward(ops::slice(h, 1, first, branch.block->width())));
      first += branch.block->width();
    }
    return ops::concat(all, 1);
  }
  FieldGate* gate_ = nullptr;
  std::vector<Branch> branches_;
};

}  // namespace

NetworkType kdef_finalnet_network() {
  return {.name = "kdef_finalnet",
          .title = "Factorized interaction layers (FINAL), one block with a field gate, as KDEF's authors have it",
          .source = "Zhu et al., SIGIR 2023",
          .formula = "z = fc(layers([e ; e * gate(e)])), a layer gives [h2, h1 * h2] for [h2, h1] = W x + b",
          .make = make<KdefFinalNet>,
          .keys = {flag_setting("gate_starts_open", false,
                                "the field gate starts at weight 0 and bias 1; false: as the published runs did")}};
}

NetworkType FinalNet_network() {
  return {.name = "FinalNet",
          .title = "Factorized interaction layers (FINAL), in one block or in two that learn from their mean",
          .source = "Zhu et al., SIGIR 2023",
          .formula =
              "z = mean of fc_k(layers_k(x)), a layer gives [h2, h1 * h2] (sum: h2 + h1 * h2) for [h2, h1] = W x + b",
          .make = make<FinalNet>,
          .keys = {choice_setting("block_type", "2B", {"1B", "2B"}, "one block or two"),
                   choice_setting("residual_type", "concat", {"concat", "sum"}, "how a layer joins its halves"),
                   flag_setting("use_feature_gating", false, "block 1 reads [e ; e * gate(e)], which starts at gate 1")
                       .with_small(true)},
          .fuxictr = true,
          .mlps = {block_keys(1), block_keys(2)}};
}

}  // namespace kdef::nn
