// cin and xdeepfm against their formulas.
#include <gtest/gtest.h>

#include "tests/nn/networks/example.h"

namespace kdef::nn {
namespace {

using namespace test;

// fc([sum over d of X_l]), X_l[h] = sum over (i, j) of W_l[h, i, j] e_i * X_{l-1}[j] + b_l[h], X_0 = e
double interaction_logit(const Example& net, const std::string& prefix, const Row& e) {
  Rows x;
  for (size_t f = 0; f < net.fields(); ++f) x.push_back(net.field(e, f));
  Row pooled;
  for (int l = 1; l <= 2; ++l) {
    const Row w = net.at(cat(prefix, "cin_layer.layer_", l, ".weight")),
              bias = net.at(cat(prefix, "cin_layer.layer_", l, ".bias"));
    Rows next(bias.size(), Row(net.dim()));
    for (size_t h = 0; h < bias.size(); ++h) {
      for (size_t d = 0; d < net.dim(); ++d) {
        next[h][d] = bias[h];
        for (size_t i = 0; i < net.fields(); ++i) {
          for (size_t j = 0; j < x.size(); ++j) {
            next[h][d] += w[(h * net.fields() + i) * x.size() + j] * net.field(e, i)[d] * x[j][d];
          }
        }
      }
      pooled.push_back(dot(next[h], Row(net.dim(), 1.0)));
    }
    x = next;
  }
  return net.linear(prefix + "fc", pooled)[0];
}

Row cin(const Example& net) {
  Row z;
  for (const Row& e : net.embeddings()) z.push_back(interaction_logit(net, "", e));
  return z;
}

// z = w . x + b + cin(e) + MLP(x)
Row xdeepfm(const Example& net) {
  const Rows x = net.embeddings();
  Row z = net.mlp("dnn.", x);
  for (size_t b = 0; b < x.size(); ++b) {
    z[b] += net.linear("lr_layer.lr_layer", x[b])[0] + interaction_logit(net, "cin.", x[b]);
  }
  return z;
}

TEST(Cin, HasItsFormula) { expect_formula(small_config("cin"), cin); }

TEST(Cin, HasItsState) {
  expect_state(small_config("cin"),
               {"cin_layer.layer_1.weight [3, 16, 1]", "cin_layer.layer_1.bias [3]",
                "cin_layer.layer_2.weight [2, 12, 1]", "cin_layer.layer_2.bias [2]", "fc.weight [1, 5]", "fc.bias [1]"},
               3 * 16 + 3 + 2 * 12 + 2 + 5 + 1);
}

TEST(Cin, HasItsGradients) { expect_gradients(small_config("cin")); }

TEST(Cin, NeedsALayer) {
  NetworkConfig config = small_config("cin");
  config.settings.set("cin_units", std::vector<int64_t>{});
  expect_refusal(config, "network cin: cin_units must name at least one layer");
}

TEST(XDeepFm, HasItsFormula) { expect_formula(small_config("kdef_xdeepfm"), xdeepfm); }

TEST(XDeepFm, HasItsState) {
  NetworkConfig config = one_layer("kdef_xdeepfm");
  config.settings.set("cin_units", std::vector<int64_t>{3});
  expect_state(
      config,
      {"cin.cin_layer.layer_1.weight [3, 16, 1]", "cin.cin_layer.layer_1.bias [3]", "lr_layer.lr_layer.weight [1, 24]",
       "lr_layer.lr_layer.bias [1]", "cin.fc.weight [1, 3]", "cin.fc.bias [1]", "dnn.mlp.0.weight [5, 24]",
       "dnn.mlp.0.bias [5]", "dnn.mlp.2.weight [1, 5]", "dnn.mlp.2.bias [1]"},
      3 * 16 + 3 + 24 + 1 + 3 + 1 + 5 * 24 + 5 + 5 + 1);
}

TEST(XDeepFm, HasItsGradients) { expect_gradients(small_config("kdef_xdeepfm")); }

// hidden() is [x, 5 sums of the interaction layers, MLP].
TEST(XDeepFm, DropsUnitsOfItsMlpOnly) { expect_dropout_in(24 + 5, 4, small_config("kdef_xdeepfm")); }

}  // namespace
}  // namespace kdef::nn
