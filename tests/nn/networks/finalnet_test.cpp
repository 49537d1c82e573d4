// finalnet against its formula.
#include <gtest/gtest.h>

#include "tests/nn/networks/example.h"

namespace kdef::nn {
namespace {

using namespace test;

// [e ; e * g], where g_f = sum over k of W_fk e_k + b_f.
Row gated(const Example& net, const Row& x) {
  Row products(x.size());
  for (size_t d = 0; d < net.dim(); ++d) {
    Row across;  // number d of every field
    for (size_t f = 0; f < net.fields(); ++f) across.push_back(net.field(x, f)[d]);
    const Row gate = net.linear("field_gate.linear", across);
    for (size_t f = 0; f < net.fields(); ++f) products[f * net.dim() + d] = across[f] * gate[f];
  }
  return joined(x, products);
}

// The halves [h2, h1] of a row become [h2, h1 * h2].
Row interacting(Row h) {
  const size_t half = h.size() / 2;
  for (size_t k = 0; k < half; ++k) h[half + k] *= h[k];
  return h;
}

Row finalnet(const Example& net) {
  Rows x = net.embeddings();
  for (Row& row : x) row = gated(net, row);
  for (size_t l = 0; l < net.config().hidden_units.size(); ++l) {
    x = net.linear(cat("layer.", l, ".linear"), x);
    for (Row& row : x) row = interacting(row);
    if (net.config().batch_norm) x = net.batch_norm(cat("norm.", l), x);
    for (Row& row : x) {
      for (double& v : row) v = activation(net.config().hidden_activations[l], v);
    }
  }
  Row z;
  for (const Row& row : x) z.push_back(net.linear("fc", row)[0]);
  return z;
}

TEST(FinalNet, HasItsFormula) { expect_formula(small_config("kdef_finalnet"), finalnet); }

TEST(FinalNet, HasItsState) {
  NetworkConfig config = one_layer("kdef_finalnet");
  config.hidden_units = {2};
  config.batch_norm = true;
  expect_state(config,
               {"layer.0.linear.weight [2, 48]", "layer.0.linear.bias [2]", "norm.0.weight [2]", "norm.0.bias [2]",
                "field_gate.linear.weight [4, 4]", "field_gate.linear.bias [4]", "fc.weight [1, 2]", "fc.bias [1]",
                "norm.0.running_mean [2]", "norm.0.running_var [2]"},
               2 * 48 + 2 + 2 * 2 + 4 * 4 + 4 + 2 + 1);
}

TEST(FinalNet, HasItsGradients) { expect_gradients(small_config("kdef_finalnet")); }

TEST(FinalNet, DropsUnitsOfItsLastLayer) { expect_dropout_in(0, 4, small_config("kdef_finalnet")); }

TEST(FinalNet, ItsGateStartsOpenWhereTheKeySaysSo) {
  for (const bool open : {false, true}) {
    NetworkConfig config = small_config("kdef_finalnet");
    config.settings.set("gate_starts_open", open);
    Builder build(3, DType::f64);
    const auto network = make_network(config, {.fields = 2, .dim = 4, .width = 8, .list = {}}, build);
    for (const Parameter& p : network->parameters()) {
      const Row values = p.tensor.to_vector<double>();
      if (p.name == "field_gate.linear.weight") {
        EXPECT_EQ(values == Row(4, 0.0), open);
      }
      if (p.name == "field_gate.linear.bias") {
        EXPECT_EQ(values, Row(2, open ? 1.0 : 0.0));
      }
    }
  }
}

TEST(FinalNet, NeedsWidthsThatCanBeHalved) {
  expect_refusal(one_layer("kdef_finalnet"), "network kdef_finalnet: hidden_units 5 must be even");
}

}  // namespace
}  // namespace kdef::nn
