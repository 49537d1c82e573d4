// Interactions of any order by power sums.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

MlpKeys im_keys() {
  MlpKeys keys = hidden_keys();
  keys.batch_norm = "net_batch_norm";
  keys.nullable = true;
  return keys;
}

/// DeepIM (Yu et al., CIKM 2020): s_k [D] = the sum over all subsets of k fields of the products of their embeddings
/// (Newton's identities give it from power sums); z = w . BN([s_1 .. s_order]) + b + MLP(x). Names: im_layer.bn.*,
/// im_layer.fc.*, dnn.mlp.*.
class DeepIm final : public SumNetwork {
 public:
  DeepIm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    const int64_t order = s.integer("im_order"), width = order * shape.dim;
    if (s.flag("im_batch_norm")) norm_ = &add_child("im_layer.bn", std::make_unique<BatchNorm1d>(width, build));
    Linear& fc = add_child("im_layer.fc", std::make_unique<Linear>(width, 1, build));
    add_part({width,
              [this, order](const Fields& x, const Pass& pass) {
                const Tensor sums = ops::concat(subset_products(x.whole(), order), 1);
                return norm_ ? norm_->forward(sums, pass) : sums;
              },
              [&fc](const Tensor& h) { return fc.forward(h); }});
    if (!im_keys().is_absent(s)) add_mlp("dnn", mlp_config(s, im_keys()), shape, build);
  }

 private:
  BatchNorm1d* norm_ = nullptr;
};

}  // namespace

NetworkType DeepIM_network() {
  return {.name = "DeepIM",
          .title = "Deep interaction machine",
          .source = "Yu et al., CIKM 2020",
          .formula =
              "z = w . BN([s_1 .. s_order]) + b + MLP(x), s_k = sum over subsets of k fields of the product of their e",
          .make = make<DeepIm>,
          .keys = {integer_setting("im_order", 2, 2, 5, "the largest number of fields in a product").with_small(3),
                   flag_setting("im_batch_norm", false, "batch normalisation of the sums").with_small(true)},
          .fuxictr = true,
          .mlps = {im_keys()}};
}

}  // namespace kdef::nn
