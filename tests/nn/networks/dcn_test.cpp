// dcn against its formula.
#include <gtest/gtest.h>

#include <set>

#include "tests/nn/networks/example.h"

namespace kdef::nn {
namespace {

using namespace test;

// z = fc([x_L, MLP(x_0)]), x_{l+1} = x_0 (w_l . x_l) + b_l + x_l; fc(x_L) without hidden layers.
Row dcn(const Example& net) {
  const Rows x0 = net.embeddings(), deep = net.hidden_layers("dnn.", x0, net.config());
  const bool has_deep = !net.config().hidden_units.empty();
  Row z;
  for (size_t b = 0; b < x0.size(); ++b) {
    Row x = x0[b];
    for (int l = 0; l < 2; ++l) {
      const double s = dot(net.at(cat("crossnet.cross_net.", l, ".weight.weight")), x);
      const Row bias = net.at(cat("crossnet.cross_net.", l, ".bias"));
      for (size_t k = 0; k < x.size(); ++k) x[k] += x0[b][k] * s + bias[k];
    }
    z.push_back(net.linear("fc", has_deep ? joined(x, deep[b]) : x)[0]);
  }
  return z;
}

NetworkConfig crossing_only() {
  NetworkConfig config = small_config("dcn");
  config.hidden_units = {};
  config.hidden_activations = {};
  config.dropout = {};
  return config;
}

TEST(Dcn, HasItsFormula) {
  expect_formula(small_config("dcn"), dcn);
  expect_formula(crossing_only(), dcn);
}

TEST(Dcn, HasItsState) {
  NetworkConfig config = one_layer("dcn");
  config.settings.set("num_cross_layers", 1);
  expect_state(config,
               {"crossnet.cross_net.0.bias [24]", "crossnet.cross_net.0.weight.weight [1, 24]",
                "dnn.mlp.0.weight [5, 24]", "dnn.mlp.0.bias [5]", "fc.weight [1, 29]", "fc.bias [1]"},
               24 + 24 + 5 * 24 + 5 + 29 + 1);
  config = crossing_only();
  config.settings.set("num_cross_layers", 1);
  expect_state(config,
               {"crossnet.cross_net.0.bias [24]", "crossnet.cross_net.0.weight.weight [1, 24]", "fc.weight [1, 24]",
                "fc.bias [1]"},
               24 + 24 + 24 + 1);
}

TEST(Dcn, HasItsGradients) { expect_gradients(small_config("dcn")); }

TEST(Dcn, DropsUnitsOfItsMlpOnly) { expect_dropout_in(24, 4, small_config("dcn")); }

// Its MLP multiplies the batch's distinct ids though the cross layers read whole embeddings.
TEST(Dcn, ItsMlpReadsDistinctIds) {
  Example net(small_config("dcn"));
  net.training = true;
  std::multiset<std::string> ops;
  const RecordObserver observer([&](const Recorded& r) { ops.insert(r.op.name); });
  net.forward();
  EXPECT_EQ(ops.count("distinct_linear"), 1u);
}

}  // namespace
}  // namespace kdef::nn
