// Interactions of embeddings with a network over the numeric fields.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

MlpKeys part_keys(const std::string& part) {
  return {.units = part + "_mlp_units",
          .activations = part + "_mlp_activations",
          .dropout = part + "_mlp_dropout",
          .of = "of the " + part + " MLP"};
}

/// DLRM (Naumov et al. 2019, arXiv 1906.00091): the numeric fields together become one vector, d = act(MLP_bottom of
/// their values), which stands behind the embeddings e of the other fields. By interaction_op, with E = [e ; d]:
/// dot: z = MLP_top([<E_i, E_j> for i < j, d]); cat: z = MLP_top(flatten(E)). Numeric fields have no tables, so the
/// network has its own. Names: embedding_layer.*, bottom_mlp.mlp.*, top_mlp.mlp.*.
class Dlrm final : public Network {
 public:
  Dlrm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : dot_(config.settings.text("interaction_op") == "dot") {
    require_uniform(config.network, shape);
    KDEF_CHECK(!shape.list.empty(), "network DLRM: needs the fields of the data set, not only the shape of embeddings");
    std::vector<EmbeddingField> fields;
    for (const EmbeddingField& field : shape.list) {
      if (field.kind == EmbeddingField::Kind::numeric) {
        values_.push_back(field.column);
      } else {
        fields.push_back(field);
      }
    }
    if (fields.empty()) throw InputError("network DLRM: needs a field that is not numeric");
    tables_ = &add_child("embedding_layer", std::make_unique<EmbeddingTables>(fields, shape.dim, build));
    auto count = static_cast<int64_t>(fields.size());
    if (!values_.empty()) {
      const MlpConfig bottom = mlp_config(config.settings, part_keys("bottom"), shape.dim);
      bottom_ = &add_child("bottom_mlp", std::make_unique<Mlp>(static_cast<int64_t>(values_.size()), bottom, build));
      const Activation last = parse_activation(config.settings.texts("bottom_mlp_activations").back());
      if (last != Activation::none) last_ = &add_child("bottom_mlp.output", make_activation(last, shape.dim, build));
      ++count;
    }
    const int64_t in = dot_ ? count * (count - 1) / 2 + (bottom_ ? shape.dim : 0) : count * shape.dim;
    top_ = &add_child("top_mlp", std::make_unique<Mlp>(in, mlp_config(config.settings, part_keys("top")), build));
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    Tensor e = x.through(*tables_).whole(), d;
    if (bottom_) {
      std::vector<Tensor> columns;
      for (const int64_t column : values_) columns.push_back(ops::slice(x.values(), 1, column, 1));
      d = bottom_->forward(ops::concat(columns, 1), pass);
      if (last_) d = last_->forward(d, pass);
      e = ops::concat({e, ops::reshape(d, {d.shape()[0], 1, d.shape()[1]})}, 1);
    }
    if (!dot_) return top_->hidden(flatten(e), pass);
    const Tensor products = inner_products(e);
    return top_->hidden(d.defined() ? ops::concat({products, d}, 1) : products, pass);
  }
  Tensor output(const Tensor& h) const override { return top_->output(h); }
  int64_t hidden_width() const override { return top_->hidden_width(); }

 private:
  bool dot_;
  std::vector<int64_t> values_;  // columns of the numeric fields
  EmbeddingTables* tables_ = nullptr;
  Mlp *bottom_ = nullptr, *top_ = nullptr;
  ActivationLayer* last_ = nullptr;
};

}  // namespace

NetworkType DLRM_network() {
  return {
      .name = "DLRM",
      .title = "Deep learning recommendation model",
      .source = "Naumov et al. 2019, arXiv 1906.00091",
      .formula = "z = MLP([<E_i, E_j> for i < j, d]), E = [e ; d], d = MLP'(numeric fields), e by tables of its own",
      .make = make<Dlrm>,
      .keys = {choice_setting("interaction_op", "dot", {"dot", "cat"}, "what the top MLP reads: inner products, or E")},
      .fuxictr = true,
      .mlps = {part_keys("top"), part_keys("bottom")},
      .own_tables = always};
}

}  // namespace kdef::nn
