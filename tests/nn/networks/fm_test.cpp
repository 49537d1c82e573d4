// fm and deepfm against their formulas.
#include <gtest/gtest.h>

#include "tests/nn/networks/example.h"

namespace kdef::nn {
namespace {

using namespace test;

// z = w . x + b + sum over i < j of <e_i, e_j>
Row fm(const Example& net) {
  Row z;
  for (const Row& x : net.embeddings()) {
    z.push_back(net.linear("lr_layer", x)[0]);
    for (size_t i = 0; i < net.fields(); ++i) {
      for (size_t j = i + 1; j < net.fields(); ++j) z.back() += dot(net.field(x, i), net.field(x, j));
    }
  }
  return z;
}

// z = fm + MLP(x)
Row deepfm(const Example& net) {
  Row z = fm(net);
  const Row deep = net.mlp("dnn.", net.embeddings());
  for (size_t b = 0; b < z.size(); ++b) z[b] += deep[b];
  return z;
}

TEST(Fm, HasItsFormula) { expect_formula(small_config("fm"), fm); }

TEST(Fm, HasItsState) { expect_state(small_config("fm"), {"lr_layer.weight [1, 24]", "lr_layer.bias [1]"}, 24 + 1); }

TEST(Fm, HasItsGradients) { expect_gradients(small_config("fm")); }

TEST(DeepFm, HasItsFormula) { expect_formula(small_config("deepfm"), deepfm); }

TEST(DeepFm, HasItsState) {
  expect_state(one_layer("deepfm"),
               {"lr_layer.weight [1, 24]", "lr_layer.bias [1]", "dnn.mlp.0.weight [5, 24]", "dnn.mlp.0.bias [5]",
                "dnn.mlp.2.weight [1, 5]", "dnn.mlp.2.bias [1]"},
               24 + 1 + 5 * 24 + 5 + 5 + 1);
}

TEST(DeepFm, HasItsGradients) { expect_gradients(small_config("deepfm")); }

// hidden() is [x, 6 sums over the pairs, MLP].
TEST(DeepFm, DropsUnitsOfItsMlpOnly) { expect_dropout_in(24 + 6, 4, small_config("deepfm")); }

}  // namespace
}  // namespace kdef::nn
