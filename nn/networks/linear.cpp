// The linear model, alone and beside an MLP.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"

namespace kdef::nn {
namespace {

/// logistic_regression: z = w . flatten(e) + b.
class LogisticRegression final : public SumNetwork {
 public:
  LogisticRegression(const NetworkConfig&, const EmbeddingShape& shape, Builder& build) {
    add_linear("lr_layer", shape, build);
  }
};

/// wide_deep (Cheng et al. 2016, arXiv 1606.07792) on embeddings: linear + mlp.
class WideDeep final : public SumNetwork {
 public:
  WideDeep(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    add_linear("lr_layer.lr_layer", shape, build);
    add_mlp(config, shape, build);
  }
};

}  // namespace

NetworkType logistic_regression_network() {
  return {.name = "logistic_regression",
          .title = "Logistic regression on the embeddings, as KDEF's authors have it",
          .source = "Richardson et al., WWW 2007",
          .formula = "z = w . x + b",
          .make = make<LogisticRegression>,
          .hidden_layers = HiddenLayers::none};
}

NetworkType wide_deep_network() {
  return {.name = "wide_deep",
          .title = "Wide & Deep as KDEF's authors have it, the wide part on the embeddings",
          .source = "Cheng et al. 2016, arXiv 1606.07792",
          .formula = "z = w . x + b + MLP(x)",
          .make = make<WideDeep>};
}

}  // namespace kdef::nn
