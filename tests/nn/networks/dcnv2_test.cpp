// cross_v2 and dcnv2 against their formulas.
#include <gtest/gtest.h>

#include "tests/nn/networks/example.h"

namespace kdef::nn {
namespace {

using namespace test;

// x_2 of a row: x_{l+1} = x_l + x_0 * (W_l x_l + b_l)
Row crossed(const Example& net, const std::string& prefix, const Row& x0) {
  Row x = x0;
  for (int l = 0; l < 2; ++l) {
    const Row y = net.linear(cat(prefix, "cross_layers.", l), x);
    for (size_t k = 0; k < x.size(); ++k) x[k] += x0[k] * y[k];
  }
  return x;
}

// z = fc(x_L)
Row cross_v2(const Example& net) {
  Row z;
  for (const Row& x0 : net.embeddings()) z.push_back(net.linear("fc", crossed(net, "", x0))[0]);
  return z;
}

// z = fc([MLP(x_0), x_L])
Row dcnv2(const Example& net) {
  const Rows x0 = net.embeddings(), deep = net.hidden_layers("dnn.", x0, net.config());
  Row z;
  for (size_t b = 0; b < x0.size(); ++b) {
    z.push_back(net.linear("fc", joined(deep[b], crossed(net, "crossnet.", x0[b])))[0]);
  }
  return z;
}

NetworkConfig one_cross_layer(const std::string& name) {
  NetworkConfig config = one_layer(name);
  config.settings.set("num_cross_layers", 1);
  return config;
}

TEST(CrossV2, HasItsFormula) { expect_formula(small_config("cross_v2"), cross_v2); }

TEST(CrossV2, HasItsState) {
  expect_state(one_cross_layer("cross_v2"),
               {"cross_layers.0.weight [24, 24]", "cross_layers.0.bias [24]", "fc.weight [1, 24]", "fc.bias [1]"},
               24 * 24 + 24 + 24 + 1);
}

TEST(CrossV2, HasItsGradients) { expect_gradients(small_config("cross_v2")); }

TEST(DcnV2, HasItsFormula) { expect_formula(small_config("kdef_dcnv2"), dcnv2); }

TEST(DcnV2, HasItsState) {
  expect_state(one_cross_layer("kdef_dcnv2"),
               {"crossnet.cross_layers.0.weight [24, 24]", "crossnet.cross_layers.0.bias [24]",
                "dnn.mlp.0.weight [5, 24]", "dnn.mlp.0.bias [5]", "fc.weight [1, 29]", "fc.bias [1]"},
               24 * 24 + 24 + 5 * 24 + 5 + 29 + 1);
}

TEST(DcnV2, HasItsGradients) { expect_gradients(small_config("kdef_dcnv2")); }

TEST(DcnV2, DropsUnitsOfItsMlpOnly) { expect_dropout_in(0, 4, small_config("kdef_dcnv2")); }

}  // namespace
}  // namespace kdef::nn
