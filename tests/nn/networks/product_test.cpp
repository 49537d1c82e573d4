// product against its formula.
#include <gtest/gtest.h>

#include "tests/nn/networks/example.h"

namespace kdef::nn {
namespace {

using namespace test;

// z = MLP([x, <e_i, e_j> for i < j])
Row product(const Example& net) {
  Rows inputs = net.embeddings();
  for (Row& x : inputs) {
    Row products;
    for (size_t i = 0; i < net.fields(); ++i) {
      for (size_t j = i + 1; j < net.fields(); ++j) products.push_back(dot(net.field(x, i), net.field(x, j)));
    }
    x = joined(x, products);
  }
  return net.mlp("dnn.", inputs);
}

TEST(Product, HasItsFormula) { expect_formula(small_config("product"), product); }

TEST(Product, HasItsState) {
  expect_state(one_layer("product"),
               {"dnn.mlp.0.weight [5, 30]", "dnn.mlp.0.bias [5]", "dnn.mlp.2.weight [1, 5]", "dnn.mlp.2.bias [1]"},
               5 * 30 + 5 + 5 + 1);
}

TEST(Product, HasItsGradients) { expect_gradients(small_config("product")); }

TEST(Product, DropsUnitsOfItsLastLayer) { expect_dropout_in(0, 4, small_config("product")); }

}  // namespace
}  // namespace kdef::nn
