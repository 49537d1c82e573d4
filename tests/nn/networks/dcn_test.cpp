// DCN against its formula.
#include <gtest/gtest.h>

#include <set>

#include "tests/nn/networks/example.h"

namespace kdef::nn {
namespace {

using namespace test;

// z = fc([x_L, MLP(x_0)]), x_{l+1} = x_0 (w_l . x_l) + b_l + x_l; fc(x_L) without an MLP.
Row dcn(const Example& net) {
  const Settings& s = net.config().settings;
  NetworkConfig layers;
  layers.hidden_units = s.integers("dnn_hidden_units");
  layers.hidden_activations = {"relu", "tanh"};
  layers.batch_norm = s.flag("batch_norm");
  const Rows x0 = net.embeddings(), deep = net.hidden_layers("dnn.", x0, layers);
  Row z;
  for (size_t b = 0; b < x0.size(); ++b) {
    Row x = x0[b];
    for (int l = 0; l < 2; ++l) {
      const double w = dot(net.at(cat("crossnet.cross_net.", l, ".weight.weight")), x);
      const Row bias = net.at(cat("crossnet.cross_net.", l, ".bias"));
      for (size_t k = 0; k < x.size(); ++k) x[k] += x0[b][k] * w + bias[k];
    }
    z.push_back(net.linear("fc", layers.hidden_units.empty() ? x : joined(x, deep[b]))[0]);
  }
  return z;
}

NetworkConfig with_units(const std::vector<int64_t>& units) {
  NetworkConfig config = small_config("DCN");
  config.settings.set("dnn_hidden_units", units);
  config.settings.set("dnn_activations",
                      units.empty() ? std::vector<std::string>{"relu"} : std::vector<std::string>{"relu", "tanh"});
  return config;
}

TEST(Dcn, HasItsFormula) {
  for (const bool batch_norm : {false, true}) {
    for (const std::vector<int64_t>& units : {std::vector<int64_t>{6, 4}, std::vector<int64_t>{}}) {
      NetworkConfig config = with_units(units);
      config.settings.set("batch_norm", batch_norm);
      expect_formula(config, dcn);
    }
  }
}

TEST(Dcn, HasItsGradients) {
  NetworkConfig config = with_units({6, 4});
  config.settings.set("net_dropout", std::vector<double>{0.3});
  expect_gradients(config);
}

// The cross layers, as products of the batch with vectors, and the MLP multiply the batch's distinct ids.
TEST(Dcn, ItReadsDistinctIds) {
  Example net(small_config("DCN"));
  net.training = true;
  std::multiset<std::string> ops;
  const RecordObserver observer([&](const Recorded& r) { ops.insert(r.op.name); });
  net.forward();
  EXPECT_EQ(ops.count("distinct_linear"), 2u);
}

}  // namespace
}  // namespace kdef::nn
