// The product-based network.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

/// product, PNN (IPNN; Qu et al., ICDM 2016, arXiv 1611.00144): z = MLP([flatten(e), <e_i, e_j> for i < j]).
/// Names: dnn.mlp.*.
class Product final : public Network {
 public:
  Product(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : dnn_(add_child("dnn", std::make_unique<Mlp>(input(shape), settings(config), build))) {
    require_uniform(config.network, shape);
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    return dnn_.hidden(ops::concat({x.flat(), inner_products(x.whole())}, 1), pass);
  }
  Tensor output(const Tensor& h) const override { return dnn_.output(h); }
  int64_t hidden_width() const override { return dnn_.hidden_width(); }

 private:
  static MlpConfig settings(const NetworkConfig& config) {
    return config.network == "PNN" ? mlp_config(config.settings, hidden_keys()) : mlp_config(config);
  }
  static int64_t input(const EmbeddingShape& s) { return s.width + s.fields * (s.fields - 1) / 2; }
  Mlp& dnn_;
};

}  // namespace

NetworkType product_network() {
  return {.name = "product",
          .title = "Product-based neural network, inner products, as KDEF's authors have it",
          .source = "Qu et al., ICDM 2016, arXiv 1611.00144",
          .formula = "z = MLP([x, <e_i, e_j> for i < j])",
          .make = make<Product>};
}

NetworkType PNN_network() {
  return {.name = "PNN",
          .title = "Product-based neural network, inner products (IPNN)",
          .source = "Qu et al., ICDM 2016, arXiv 1611.00144",
          .formula = "z = MLP([x, <e_i, e_j> for i < j])",
          .make = make<Product>,
          .keys = {choice_setting("product_type", "inner", {"inner"}, "what of two embeddings is read")},
          .fuxictr = true,
          .mlps = {hidden_keys()}};
}

}  // namespace kdef::nn
