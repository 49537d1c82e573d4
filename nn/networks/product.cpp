// The product-based network.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/pairs.h"

namespace kdef::nn {
namespace {

/// product (IPNN; Qu et al., ICDM 2016, arXiv 1611.00144): z = MLP([flatten(e), <e_i, e_j> for i < j]).
class Product final : public Network {
 public:
  Product(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : dnn_(add_child("dnn", std::make_unique<Mlp>(input(shape), mlp_config(config), build))) {
    require_uniform("product", shape);
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    const Tensor& e = x.whole();
    const Tensor products = ops::upper_triangle(ops::matmul(e, e, false, true));
    return dnn_.hidden(ops::concat({x.flat(), products}, 1), pass);
  }
  Tensor output(const Tensor& h) const override { return dnn_.output(h); }
  int64_t hidden_width() const override { return dnn_.hidden_width(); }

 private:
  static int64_t input(const EmbeddingShape& s) { return s.width + s.fields * (s.fields - 1) / 2; }
  Mlp& dnn_;
};

}  // namespace

NetworkType product_network() {
  return {.name = "product",
          .title = "Product-based neural network, inner products (IPNN, PNN)",
          .source = "Qu et al., ICDM 2016, arXiv 1611.00144",
          .formula = "z = MLP([x, <e_i, e_j> for i < j])",
          .make = make<Product>};
}

}  // namespace kdef::nn
