// logistic_regression and wide_deep against their formulas.
#include <gtest/gtest.h>

#include "tests/nn/networks/example.h"

namespace kdef::nn {
namespace {

using namespace test;

// z = w . x + b
Row logistic_regression(const Example& net) {
  Row z;
  for (const Row& x : net.embeddings()) z.push_back(net.linear("lr_layer", x)[0]);
  return z;
}

// z = w . x + b + MLP(x)
Row wide_deep(const Example& net) {
  const Rows x = net.embeddings();
  Row z = net.mlp("dnn.", x);
  for (size_t b = 0; b < x.size(); ++b) z[b] += net.linear("lr_layer.lr_layer", x[b])[0];
  return z;
}

TEST(LogisticRegression, HasItsFormula) { expect_formula(small_config("logistic_regression"), logistic_regression); }

TEST(LogisticRegression, HasItsState) {
  expect_state(small_config("logistic_regression"), {"lr_layer.weight [1, 24]", "lr_layer.bias [1]"}, 24 + 1);
}

TEST(LogisticRegression, HasItsGradients) { expect_gradients(small_config("logistic_regression")); }

TEST(WideDeep, HasItsFormula) { expect_formula(small_config("wide_deep"), wide_deep); }

TEST(WideDeep, HasItsState) {
  expect_state(one_layer("wide_deep"),
               {"lr_layer.lr_layer.weight [1, 24]", "lr_layer.lr_layer.bias [1]", "dnn.mlp.0.weight [5, 24]",
                "dnn.mlp.0.bias [5]", "dnn.mlp.2.weight [1, 5]", "dnn.mlp.2.bias [1]"},
               24 + 1 + 5 * 24 + 5 + 5 + 1);
}

TEST(WideDeep, HasItsGradients) { expect_gradients(small_config("wide_deep")); }

// hidden() is [x, MLP].
TEST(WideDeep, DropsUnitsOfItsMlpOnly) { expect_dropout_in(24, 4, small_config("wide_deep")); }

}  // namespace
}  // namespace kdef::nn
