// autoint against its formula.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/nn/networks/example.h"

namespace kdef::nn {
namespace {

using namespace test;

// Head after head of softmax(Q K^T / sqrt(head size)) V for a row's fields, given by their Q, K and V.
Rows attended(const Rows& q, const Rows& k, const Rows& v, size_t heads, bool scaled) {
  const size_t size = q[0].size() / heads;
  Rows result(q.size(), Row(q[0].size()));
  for (size_t head = 0; head < heads; ++head) {
    for (size_t i = 0; i < q.size(); ++i) {
      Row weights(q.size());
      double total = 0;
      for (size_t j = 0; j < q.size(); ++j) {
        double score = 0;
        for (size_t a = head * size; a < (head + 1) * size; ++a) score += q[i][a] * k[j][a];
        if (scaled) score /= std::sqrt(static_cast<double>(size));
        weights[j] = std::exp(score);
        total += weights[j];
      }
      for (size_t a = head * size; a < (head + 1) * size; ++a) {
        for (size_t j = 0; j < q.size(); ++j) result[i][a] += weights[j] / total * v[j][a];
      }
    }
  }
  return result;
}

// relu(LayerNorm(heads + x)), where W_res x stands for x if the widths differ.
Rows attention_layer(const Example& net, const std::string& name, const Rows& x) {
  const Settings& s = net.config().settings;
  Rows y = attended(net.linear(name + "W_q", x), net.linear(name + "W_k", x), net.linear(name + "W_v", x),
                    static_cast<size_t>(s.integer("num_heads")), s.flag("use_scale"));
  for (size_t f = 0; f < y.size(); ++f) {
    if (s.flag("use_residual")) {
      const Row residual = x[f].size() == y[f].size() ? x[f] : net.linear(name + "W_res", x[f]);
      for (size_t a = 0; a < y[f].size(); ++a) y[f][a] += residual[a];
    }
    if (net.config().layer_norm) y[f] = net.layer_norm(name + "layer_norm", y[f]);
    for (double& value : y[f]) value = std::max(value, 0.0);
  }
  return y;
}

// z = fc(attention layers(e)) + MLP(x); layer_norm is for the attention layers only.
Row autoint(const Example& net) {
  NetworkConfig deep = net.config();
  deep.layer_norm = false;
  const Rows inputs = net.embeddings();
  Row z = net.mlp("dnn.", inputs, deep);
  for (size_t b = 0; b < inputs.size(); ++b) {
    Rows x;
    for (size_t f = 0; f < net.fields(); ++f) x.push_back(net.field(inputs[b], f));
    for (int l = 0; l < 2; ++l) x = attention_layer(net, cat("self_attention.", l, "."), x);
    Row flat;
    for (const Row& e : x) flat = joined(flat, e);
    z[b] += net.linear("fc", flat)[0];
  }
  return z;
}

NetworkConfig with_setting(const std::string& key, const SettingValue& value) {
  NetworkConfig config = small_config("kdef_autoint");
  config.settings.set(key, value);
  return config;
}

TEST(AutoInt, HasItsFormula) {
  expect_formula(small_config("kdef_autoint"), autoint);
  expect_formula(small_config("kdef_autoint"), autoint, 4);  // as wide as the attention layers
  expect_formula(with_setting("use_scale", false), autoint);
  expect_formula(with_setting("use_residual", false), autoint);
  expect_formula(with_setting("num_heads", 1), autoint);
  NetworkConfig config = small_config("kdef_autoint");
  config.layer_norm = true;
  expect_formula(config, autoint);
}

TEST(AutoInt, HasItsState) {
  NetworkConfig config = one_layer("kdef_autoint");
  config.layer_norm = true;
  config.settings.set("attention_layers", 2);
  const std::string first = "self_attention.0.", second = "self_attention.1.";
  expect_state(config,
               {"dnn.mlp.0.weight [5, 24]", "dnn.mlp.0.bias [5]", "dnn.mlp.2.weight [1, 5]", "dnn.mlp.2.bias [1]",
                first + "W_q.weight [4, 6]", first + "W_k.weight [4, 6]", first + "W_v.weight [4, 6]",
                first + "W_res.weight [4, 6]", first + "layer_norm.weight [4]", first + "layer_norm.bias [4]",
                second + "W_q.weight [4, 4]", second + "W_k.weight [4, 4]", second + "W_v.weight [4, 4]",
                second + "layer_norm.weight [4]", second + "layer_norm.bias [4]", "fc.weight [1, 16]", "fc.bias [1]"},
               5 * 24 + 5 + 5 + 1 + 4 * 24 + 2 * 4 + 3 * 16 + 2 * 4 + 16 + 1);
}

TEST(AutoInt, HasItsGradients) {
  NetworkConfig config = small_config("kdef_autoint");
  config.layer_norm = true;
  expect_gradients(config);
}

// hidden() is [4 fields of attention width 4, MLP]. The first rate is that of the attention weights, too.
TEST(AutoInt, DropsUnitsOfItsMlpAndAttentionWeights) {
  expect_dropout_in(16, 4, small_config("kdef_autoint"));
  NetworkConfig config = small_config("kdef_autoint");
  Example plain(config);
  config.dropout[0] = 0.5;
  Example dropping(config);
  plain.training = dropping.training = true;
  const Rows want = plain.hidden(), got = dropping.hidden();
  for (size_t b = 0; b < want.size(); ++b) {
    EXPECT_NE(Row(got[b].begin(), got[b].begin() + 16), Row(want[b].begin(), want[b].begin() + 16)) << "row " << b;
  }
}

TEST(AutoInt, NeedsHeadsOfEqualWidth) {
  expect_refusal(with_setting("num_heads", 3), "network kdef_autoint: attention_dim 4 is not divisible by num_heads 3");
}

}  // namespace
}  // namespace kdef::nn
