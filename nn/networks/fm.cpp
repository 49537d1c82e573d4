// Factorization machines, alone and beside an MLP.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

/// sum over i < j of <e_i, e_j> = sum over d of ((sum_f e)^2 - sum_f e^2) / 2, with the linear part beside it.
class FmNetwork : public SumNetwork {
 protected:
  FmNetwork(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    add_linear("lr_layer", shape, build);
    add_part({shape.dim,
              [](const Fields& x, const Pass&) {
                const Tensor& e = x.whole();
                return ops::scale(ops::sub(ops::square(ops::sum(e, 1)), ops::sum(ops::square(e), 1)), 0.5);
              },
              [](const Tensor& h) { return ops::sum(h, 1, true); }});
  }
};

/// fm: the linear part and the inner products of all pairs.
class Fm final : public FmNetwork {
 public:
  Fm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) : FmNetwork(config, shape, build) {}
};

/// deepfm: fm and an MLP.
class DeepFm final : public FmNetwork {
 public:
  DeepFm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) : FmNetwork(config, shape, build) {
    add_mlp(config, shape, build);
  }
};

}  // namespace

NetworkType fm_network() {
  return {.name = "fm",
          .title = "Factorization machine, its linear part on the embeddings",
          .source = "Rendle, ICDM 2010",
          .formula = "z = w . x + b + sum over i < j of <e_i, e_j>",
          .make = make<Fm>,
          .hidden_layers = HiddenLayers::none};
}

NetworkType deepfm_network() {
  return {.name = "deepfm",
          .title = "DeepFM, its linear part on the embeddings",
          .source = "Guo et al., IJCAI 2017, arXiv 1703.04247",
          .formula = "z = w . x + b + sum over i < j of <e_i, e_j> + MLP(x)",
          .make = make<DeepFm>};
}

}  // namespace kdef::nn
