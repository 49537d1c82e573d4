// Holographic pairs of embeddings.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

/// HFM (Tay et al., AAAI 2019): for i < j c_ij [D], by interaction_type
///   circular_convolution: c_k = sum_m a_m b_{k-m mod D}; circular_correlation: c_k = sum_m a_m b_{k+m mod D};
///   hadamard_product: c = a * b, with a = e_i and b = e_j;
/// z = first order + MLP([c_ij]) (HFM+), or without use_dnn first order + p . sum of c_ij.
/// Names: lr_layer.*, dnn.mlp.*, proj_h.weight.
class Hfm final : public SumNetwork {
 public:
  Hfm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : type_(config.settings.text("interaction_type")) {
    require_uniform(config.network, shape);
    const int64_t pairs = shape.fields * (shape.fields - 1) / 2;
    add_first_order("lr_layer", true, shape, build);
    if (config.settings.flag("use_dnn")) {
      Mlp& dnn = add_child("dnn", std::make_unique<Mlp>(pairs * shape.dim, mlp_config(config.settings, keys()), build));
      add_part({dnn.hidden_width(),
                [this, &dnn](const Fields& x, const Pass& pass) {
                  return dnn.hidden(flatten(holographic(x.whole())), pass);
                },
                [&dnn](const Tensor& h) { return dnn.output(h); }});
    } else {
      Linear& p = add_child("proj_h", std::make_unique<Linear>(shape.dim, 1, build, false));
      add_part({shape.dim, [this](const Fields& x, const Pass&) { return ops::sum(holographic(x.whole()), 1); },
                [&p](const Tensor& h) { return p.forward(h); }});
    }
  }
  static MlpKeys keys() {
    MlpKeys keys = hidden_keys();
    keys.standard_units = {64, 64};
    return keys;
  }

 private:
  // c_ij for i < j: [B, P, D]. A circular map of b by a is a times the matrix of b's rotations.
  Tensor holographic(const Tensor& e) const {
    if (type_ == "hadamard_product") return pair_products(e);
    const int64_t rows = e.shape()[0], fields = e.shape()[1], dim = e.shape()[2];
    std::vector<Tensor> rotations;  // at m: b_{k-m} or b_{k+m} at k
    for (int64_t m = 0; m < dim; ++m) {
      const int64_t first = type_ == "circular_convolution" ? (dim - m) % dim : m;
      rotations.push_back(
          first == 0 ? e : ops::concat({ops::slice(e, 2, first, dim - first), ops::slice(e, 2, 0, first)}, 2));
    }
    const Tensor all = ops::stack(rotations, 1);  // [B, m, F, k]
    std::vector<Tensor> products;
    for (int64_t i = 0; i + 1 < fields; ++i) {
      const int64_t count = fields - 1 - i;
      const Tensor right = ops::reshape(ops::slice(all, 2, i + 1, count), {rows, dim, count * dim});
      products.push_back(ops::reshape(ops::matmul(ops::slice(e, 1, i, 1), right), {rows, count, dim}));
    }
    return ops::concat(products, 1);
  }
  std::string type_;
};

}  // namespace

NetworkType HFM_network() {
  return {.name = "HFM",
          .title = "Holographic factorization machine, with an MLP HFM+",
          .source = "Tay et al., AAAI 2019",
          .formula = "z = LR + MLP([e_i o e_j for i < j]), o a circular convolution or correlation",
          .make = make<Hfm>,
          .keys = {choice_setting("interaction_type", "circular_convolution",
                                  {"circular_convolution", "circular_correlation", "hadamard_product"},
                                  "what is made of two embeddings"),
                   flag_setting("use_dnn", true, "an MLP reads the pairs; false: their sum is read")},
          .fuxictr = true,
          .mlps = {Hfm::keys()}};
}

}  // namespace kdef::nn
