// afn against its formula.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/nn/networks/example.h"

namespace kdef::nn {
namespace {

using namespace test;

// The MLP behind the neurons has widths of its own. Layers beyond the list of activations have relu.
NetworkConfig layers_behind_the_neurons(NetworkConfig config) {
  config.hidden_units = config.settings.integers("afn_hidden_units");
  config.hidden_activations.resize(config.hidden_units.size(), "relu");
  return config;
}

// [v_1, ..., v_N] per row, D numbers each: v = BN(exp(W BN(ln max(|e|, 1e-5)))), both over the batch and D per channel.
Rows neurons(const Example& net, const Rows& x) {
  Rows channels;  // rows of [B D, F], then of [B D, N]
  for (const Row& row : x) {
    for (size_t d = 0; d < net.dim(); ++d) {
      Row logs;
      for (size_t f = 0; f < net.fields(); ++f)
        logs.push_back(std::log(std::max(std::abs(net.field(row, f)[d]), 1e-5)));
      channels.push_back(logs);
    }
  }
  channels = net.linear("coefficient_W", net.batch_norm("log_batch_norm", channels));
  for (Row& row : channels) {
    for (double& v : row) v = std::exp(v);
  }
  channels = net.batch_norm("exp_batch_norm", channels);
  Rows result(x.size());
  for (size_t b = 0; b < x.size(); ++b) {
    for (size_t n = 0; n < channels[0].size(); ++n) {
      for (size_t d = 0; d < net.dim(); ++d) result[b].push_back(channels[b * net.dim() + d][n]);
    }
  }
  return result;
}

// z = fc([MLP_1(neurons), MLP_2(x)])
Row afn(const Example& net) {
  const Rows x = net.embeddings();
  const Row first = net.mlp("dense_layer.", neurons(net, x), layers_behind_the_neurons(net.config())),
            second = net.mlp("dnn.", x);
  Row z;
  for (size_t b = 0; b < x.size(); ++b) z.push_back(net.linear("fc", Row{first[b], second[b]})[0]);
  return z;
}

TEST(Afn, HasItsFormula) {
  NetworkConfig config = small_config("kdef_afn");
  expect_formula(config, afn);
  config.settings.set("afn_hidden_units", std::vector<int64_t>{5, 4, 3});
  expect_formula(config, afn);
}

TEST(Afn, HasItsState) {
  expect_state(one_layer("kdef_afn"),
               {"coefficient_W.weight [3, 4]", "dense_layer.mlp.0.weight [4, 18]", "dense_layer.mlp.0.bias [4]",
                "dense_layer.mlp.2.weight [1, 4]", "dense_layer.mlp.2.bias [1]", "log_batch_norm.weight [4]",
                "log_batch_norm.bias [4]", "exp_batch_norm.weight [3]", "exp_batch_norm.bias [3]",
                "dnn.mlp.0.weight [5, 24]", "dnn.mlp.0.bias [5]", "dnn.mlp.2.weight [1, 5]", "dnn.mlp.2.bias [1]",
                "fc.weight [1, 2]", "fc.bias [1]", "log_batch_norm.running_mean [4]", "log_batch_norm.running_var [4]",
                "exp_batch_norm.running_mean [3]", "exp_batch_norm.running_var [3]"},
               3 * 4 + 4 * 18 + 4 + 4 + 1 + 2 * 4 + 2 * 3 + 5 * 24 + 5 + 5 + 1 + 2 + 1);
}

TEST(Afn, HasItsGradients) { expect_gradients(small_config("kdef_afn")); }

// hidden() is [MLP_1, MLP_2]. The layers of MLP_1 have the rates of the list, those beyond it the last rate.
TEST(Afn, DropsUnitsOfBothMlps) {
  expect_dropout_in(0, 4 + 5, one_layer("kdef_afn"));
  expect_dropout_in(4, 4, small_config("kdef_afn"));  // the one layer of MLP_1 has the first of two rates, 0
  NetworkConfig config = one_layer("kdef_afn");
  config.settings.set("afn_hidden_units", std::vector<int64_t>{5, 4});
  config.dropout = {0.5};
  EXPECT_TRUE(Example(config).has("dense_layer.mlp.6.weight")) << "linear, activation, dropout, twice";
}

}  // namespace
}  // namespace kdef::nn
