// Interactions between and within three groups of columns.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

/// FLEN (Chen et al. 2019, arXiv 1911.04690): the columns of `source` user, item and context are three groups, with
/// sums s_g of their embeddings and sums q_g of their products of pairs (sum_of_pairs);
///   h = sum over g < g' of a_gg' s_g * s_g' + sum over g of b_g q_g,
///   z = w . [relu(W [LR, h]), MLP without head (x)], without biases. Columns of another source reach LR and the MLP.
/// Names: lr_layer.*, dnn.mlp.*, r_ij.weight [1, 3] (a), r_mm.weight [1, 3] (b), w_FwBI.0.weight (W), w_F.weight (w).
class Flen final : public Network {
 public:
  Flen(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : first_order_(add_child("lr_layer", std::make_unique<FirstOrder>(shape, true, build))),
        dnn_(add_child("dnn", std::make_unique<Mlp>(shape.width, mlp_config(config.settings, dnn_keys(), 0), build))),
        between_(add_parameter("r_ij.weight", build.xavier_normal(1, 3))),
        within_(add_parameter("r_mm.weight", build.xavier_normal(1, 3))),
        mixed_(add_child("w_FwBI.0", std::make_unique<Linear>(shape.dim + 1, shape.dim + 1, build, false))),
        fc_(add_child("w_F", std::make_unique<Linear>(shape.dim + 1 + dnn_.hidden_width(), 1, build, false))),
        width_(shape.dim + 1 + dnn_.hidden_width()) {
    require_uniform(config.network, shape);
    for (const char* source : {"user", "item", "context"}) {
      std::vector<int64_t> fields;
      for (size_t f = 0; f < shape.list.size(); ++f) {
        if (shape.list[f].source == source) fields.push_back(static_cast<int64_t>(f));
      }
      if (fields.empty()) {
        throw InputError(cat("network FLEN: no column has source: ", source,
                             "; its groups are the columns of source user, item and context, a key of feature_cols"));
      }
      groups_.push_back(fields);
    }
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    std::vector<Tensor> sums, pairs;
    for (const std::vector<int64_t>& group : groups_) {
      const Tensor e = chosen_fields(x.whole(), group);
      sums.push_back(ops::sum(e, 1));
      pairs.push_back(sum_of_pairs(e));
    }
    const Tensor h =
        ops::add(weighted(pair_products(ops::stack(sums, 1)), between_), weighted(ops::stack(pairs, 1), within_));
    const Tensor mixed = ops::relu(mixed_.forward(ops::concat({first_order_.forward(x), h}, 1)));
    return ops::concat({mixed, dnn_.forward(x, pass)}, 1);
  }
  Tensor output(const Tensor& h) const override { return fc_.forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  // sum over g of w_g x_g of x [B, 3, D]: [B, D].
  static Tensor weighted(const Tensor& x, const Tensor& w) {
    return ops::sum(ops::mul(x, ops::reshape(w, {1, 3, 1})), 1);
  }

  FirstOrder& first_order_;
  Mlp& dnn_;
  Tensor between_, within_;
  Linear &mixed_, &fc_;
  int64_t width_;
  std::vector<std::vector<int64_t>> groups_;
};

}  // namespace

NetworkType FLEN_network() {
  return {.name = "FLEN",
          .title = "Interactions between and within the columns of user, item and context",
          .source = "Chen et al. 2019, arXiv 1911.04690",
          .formula =
              "z = w . [relu(W [LR, h]), MLP without head (x)], h = sum over g < g' of a_gg' s_g * s_g' + sum over g "
              "of b_g sum over i < j in g of e_i * e_j, s_g the sum of group g",
          .make = make<Flen>,
          .fuxictr = true,
          .mlps = {dnn_keys()},
          .tables = ""};
}

}  // namespace kdef::nn
