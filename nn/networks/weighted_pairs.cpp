// Relatives of the factorization machine: pairs of fields, weighed in various ways.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/pairs.h"
#include "ops/reduce.h"
#include "ops/softmax.h"

namespace kdef::nn {
namespace {

Tensor total(const Tensor& h) { return ops::sum(h, 1, true); }
int64_t pairs_of(const EmbeddingShape& shape) { return shape.fields * (shape.fields - 1) / 2; }

/// FwFM (Pan et al., WWW 2018, arXiv 1806.03514): z = r . [<e_i, e_j> for i < j] + b + linear part, which is by
/// linear_type FiLV: w . x; FeLV: sum of e * e', e' by second tables; LW: a number per id, summed over a sequence.
/// Names: interaction_weight.*, linear_weight_layer.*.
class FwFm final : public SumNetwork {
 public:
  FwFm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    Linear& weights = add_child("interaction_weight", std::make_unique<Linear>(pairs_of(shape), 1, build));
    add_part({pairs_of(shape), [](const Fields& x, const Pass&) { return inner_products(x.whole()); },
              [&weights](const Tensor& h) { return weights.forward(h); }});
    const std::string& type = config.settings.text("linear_type");
    if (type == "FiLV") {
      Linear& linear = add_child("linear_weight_layer", std::make_unique<Linear>(shape.width, 1, build, false));
      add_part({shape.width, [](const Fields& x, const Pass&) { return x.flat(); },
                [&linear](const Tensor& h) { return linear.forward(h); }});
      return;
    }
    std::vector<EmbeddingField> fields = shape.list;
    const bool numbers = type == "LW";
    for (EmbeddingField& field : fields) {
      field.dim = 0;
      if (numbers) field.linear = 0;
      if (numbers && field.kind == EmbeddingField::Kind::average) field.kind = EmbeddingField::Kind::sum;
      if (numbers) field.pretrained = {};
    }
    EmbeddingTables& second =
        add_child("linear_weight_layer", std::make_unique<EmbeddingTables>(fields, numbers ? 1 : shape.dim, build));
    add_part({numbers ? shape.fields : shape.width,
              [&second, numbers](const Fields& x, const Pass&) {
                const Tensor other = x.through(second).flat();
                return numbers ? other : ops::mul(x.flat(), other);
              },
              total});
  }
};

/// FmFM (Sun et al., WWW 2021, arXiv 2102.12994): z = first order + sum over i < j of e_i^T M_ij e_j; vectorized: M_ij
/// is diagonal. Names: interaction_weight [P, D, D] or [P, D], lr_layer.*.
class FmFm final : public SumNetwork {
 public:
  FmFm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    const int64_t pairs = pairs_of(shape), dim = shape.dim;
    const bool full = config.settings.text("field_interaction_type") == "matrixed";
    const Tensor weights = add_parameter(
        "interaction_weight", full ? build.xavier_normal({pairs, dim, dim}) : build.xavier_normal(pairs, dim));
    add_first_order("lr_layer", true, shape, build);
    if (full) {
      add_part({pairs * dim,
                [weights](const Fields& x, const Pass&) { return flatten(bilinear_products(x.whole(), weights)); },
                total});
    } else {
      add_part(
          {pairs * dim,
           [weights](const Fields& x, const Pass&) { return flatten(ops::mul(pair_products(x.whole()), weights)); },
           total});
    }
  }
};

/// HOFM (Blondel et al., NIPS 2016, arXiv 1607.07195): z = first order + sum over k = 2..order of the sum over all
/// subsets of k fields, and over d, of the product of their embeddings. Every order has tables of its own, unless
/// reuse_embedding. Names: lr_layer.*, embedding_layers.{k-2}.*.
class Hofm final : public SumNetwork {
 public:
  Hofm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    const std::vector<int64_t>& dims = s.integers("order_dims");
    if (!dims.empty() && s.flag("reuse_embedding")) {
      throw InputError(
          "network HOFM: embedding_dim is a list, and with reuse_embedding: true all orders have one table; give one "
          "number, as FuxiCTR asks for");
    }
    if (!dims.empty() && static_cast<int64_t>(dims.size()) != s.integer("order") - 1) {
      throw InputError(cat("network HOFM: embedding_dim is a list of ", dims.size(), ", where each of the orders 2 .. ",
                           s.integer("order"), " needs a number"));
    }
    std::vector<EmbeddingField> fields = shape.list;
    for (EmbeddingField& field : fields) field.dim = 0;
    for (int64_t k = 2; k <= s.integer("order"); ++k) {
      const EmbeddingTables* own = nullptr;
      const int64_t dim = dims.empty() ? shape.dim : dims[static_cast<size_t>(k - 2)];
      if (!s.flag("reuse_embedding")) {
        own = &add_child(cat("embedding_layers.", k - 2), std::make_unique<EmbeddingTables>(fields, dim, build));
      }
      add_part({dim,
                [own, k](const Fields& x, const Pass&) {
                  return subset_products(own ? x.through(*own).whole() : x.whole(), k).back();
                },
                total});
    }
    add_first_order("lr_layer", true, shape, build);
  }
};

/// AFM (Xiao et al., IJCAI 2017, arXiv 1708.04617): v_ij = e_i * e_j, a = softmax over the pairs of
/// h . relu(W v_ij + b), z = first order + p . (sum of a_ij v_ij). Without use_attention a_ij and p are 1, and their
/// parameters stay, as in FuxiCTR. Names: lr_layer.*, attention.0.*, attention.2.weight, weight_p.weight.
class Afm final : public SumNetwork {
 public:
  Afm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    const bool used = config.settings.flag("use_attention");
    require_uniform(config.network, shape);
    const std::vector<double>& rates = config.settings.numbers("attention_dropout");
    if (rates.size() != 2)
      throw InputError("network AFM: attention_dropout needs two rates: of a_ij, and of their sum");
    const int64_t dim = shape.dim, width = config.settings.integer("attention_dim");
    add_first_order("lr_layer", true, shape, build);
    inner_ = &add_child("attention.0", std::make_unique<Linear>(dim, width, build));
    outer_ = &add_child("attention.2", std::make_unique<Linear>(width, 1, build, false));
    Linear& p = add_child("weight_p", std::make_unique<Linear>(dim, 1, build, false));
    if (!used) {
      add_part({dim, [](const Fields& x, const Pass&) { return sum_of_pairs(x.whole()); }, total});
      return;
    }
    for (const double rate : rates) dropouts_.push_back(&add_child("", std::make_unique<Dropout>(rate, build)));
    add_part({dim, [this](const Fields& x, const Pass& pass) { return pooled(x.whole(), pass); },
              [&p](const Tensor& h) { return p.forward(h); }});
  }

 private:
  Tensor pooled(const Tensor& e, const Pass& pass) const {
    const Tensor v = pair_products(e);
    const int64_t rows = v.shape()[0], pairs = v.shape()[1], dim = v.shape()[2];
    const Tensor scores = outer_->forward(ops::relu(inner_->forward(ops::reshape(v, {rows * pairs, dim}))));
    const Tensor a = dropouts_[0]->forward(ops::softmax(ops::reshape(scores, {rows, pairs, 1}), 1), pass);
    return dropouts_[1]->forward(ops::sum(ops::mul(a, v), 1), pass);
  }
  Linear *inner_ = nullptr, *outer_ = nullptr;
  std::vector<Dropout*> dropouts_;
};

/// LorentzFM (Xu, Wu, AAAI 2020, arXiv 1911.09821): z = sum over i < j of 1 + (1 - <e_i, e_j> - u_i - u_j) / (u_i u_j),
/// u = sqrt(1 + |e|^2). It has no parameters beside the tables.
class LorentzFm final : public SumNetwork {
 public:
  LorentzFm(const NetworkConfig& config, const EmbeddingShape& shape, Builder&) {
    require_uniform(config.network, shape);
    add_part({pairs_of(shape),
              [](const Fields& x, const Pass&) {
                const Tensor& e = x.whole();
                const Tensor u = ops::sqrt(ops::shift(ops::sum(ops::square(e), 2, true), 1));  // [B, F, 1]
                const Tensor v = ops::transpose(u, 1, 2);
                const Tensor above = ops::sub(ops::sub(ops::shift(ops::neg(ops::matmul(e, e, false, true)), 1), u), v);
                return ops::upper_triangle(ops::shift(ops::div(above, ops::mul(u, v)), 1));
              },
              total});
  }
};

}  // namespace

NetworkType FwFM_network() {
  return {.name = "FwFM",
          .title = "Field-weighted factorization machine",
          .source = "Pan et al., WWW 2018, arXiv 1806.03514",
          .formula = "z = sum over i < j of r_ij <e_i, e_j> + b + w . x",
          .make = make<FwFm>,
          .keys = {choice_setting("linear_type", "FiLV", {"LW", "FeLV", "FiLV"},
                                  "the linear part: a number per id, a vector per id, or a vector per field")
                       .with_small("FeLV")},
          .fuxictr = true};
}

NetworkType FmFM_network() {
  return {.name = "FmFM",
          .title = "Field-matrixed factorization machine",
          .source = "Sun et al., WWW 2021, arXiv 2102.12994",
          .formula = "z = LR + sum over i < j of e_i^T M_ij e_j",
          .make = make<FmFm>,
          .keys = {choice_setting("field_interaction_type", "matrixed", {"matrixed", "vectorized"},
                                  "whether M_ij is a full matrix or a diagonal")},
          .fuxictr = true};
}

NetworkType HOFM_network() {
  return {.name = "HOFM",
          .title = "Higher-order factorization machine",
          .source = "Blondel et al., NIPS 2016, arXiv 1607.07195",
          .formula = "z = LR + sum over subsets of 2 .. order fields, and over d, of the product of their e",
          .make = make<Hofm>,
          .keys = {integer_setting("order", 3, 2, kMaxLayers, "the largest number of fields in a product"),
                   flag_setting("reuse_embedding", false, "all orders share one set of tables"),
                   widths_setting("order_dims", {},
                                  "columns of the tables of each order, from the second on; embedding_dim may be this "
                                  "list, as in FuxiCTR; none: embedding_dim for all"),
                   unread_embedding_dropout()},
          .fuxictr = true,
          .own_tables = [](const Settings& s) { return !s.flag("reuse_embedding"); }};
}

NetworkType AFM_network() {
  SettingKey dropout = rates_setting("attention_dropout", {0, 0}, "dropout rates of the attention and of its sum");
  return {.name = "AFM",
          .title = "Attentional factorization machine",
          .source = "Xiao et al., IJCAI 2017, arXiv 1708.04617",
          .formula = "z = LR + p . sum over i < j of a_ij e_i * e_j, a = softmax(h . relu(W (e_i * e_j) + b))",
          .make = make<Afm>,
          .keys = {integer_setting("attention_dim", 10, 1, kMaxWidth, "width of the attention's hidden layer")
                       .with_small(3),
                   dropout, flag_setting("use_attention", true, "false: all a_ij, and p, are 1")},
          .fuxictr = true};
}

NetworkType LorentzFM_network() {
  return {.name = "LorentzFM",
          .title = "Lorentz factorization machine",
          .source = "Xu, Wu, AAAI 2020, arXiv 1911.09821",
          .formula = "z = sum over i < j of 1 + (1 - <e_i, e_j> - u_i - u_j) / (u_i u_j), u = sqrt(1 + |e|^2)",
          .make = make<LorentzFm>,
          .keys = {unread_embedding_dropout()},
          .fuxictr = true};
}

}  // namespace kdef::nn
