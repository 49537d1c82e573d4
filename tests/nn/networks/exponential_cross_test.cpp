// exponential_cross against its formula.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/nn/networks/example.h"

namespace kdef::nn {
namespace {

using namespace test;

// The first halves of all fields' embeddings, then the second halves.
Row by_halves(const Example& net, const Row& x) {
  Row first, second;
  for (size_t f = 0; f < net.fields(); ++f) {
    for (size_t d = 0; d < net.dim(); ++d) (d < net.dim() / 2 ? first : second).push_back(net.field(x, f)[d]);
  }
  return joined(first, second);
}

// All numbers of h normalised by their common moments.
Rows batch_norm_of_one_channel(const Example& net, const std::string& name, Rows h) {
  Rows column;
  for (const Row& row : h) {
    for (const double v : row) column.push_back({v});
  }
  column = net.batch_norm(name, column);
  size_t next = 0;
  for (Row& row : h) {
    for (double& v : row) v = column[next++][0];
  }
  return h;
}

// x <- x * ([h, h * relu(LayerNorm(h))] + b) + x, h = W x
Row exponential_cross(const Example& net) {
  Rows x = net.embeddings();
  for (Row& row : x) row = by_halves(net, row);
  for (int l = 0; l < 2; ++l) {
    Rows h = net.linear(cat("w.", l), x);
    if (net.config().batch_norm) h = batch_norm_of_one_channel(net, cat("batch_norm.", l), h);
    const Row bias = net.at(cat("b.", l));
    for (size_t b = 0; b < x.size(); ++b) {
      Row masked = net.layer_norm(cat("layer_norm.", l), h[b]);
      for (size_t k = 0; k < masked.size(); ++k) masked[k] = h[b][k] * std::max(masked[k], 0.0);
      const Row gate = joined(h[b], masked);
      for (size_t k = 0; k < gate.size(); ++k) x[b][k] += x[b][k] * (gate[k] + bias[k]);
    }
  }
  Row z;
  for (const Row& row : x) z.push_back(net.linear("fc", row)[0]);
  return z;
}

TEST(ExponentialCross, HasItsFormula) { expect_formula(small_config("exponential_cross"), exponential_cross); }

TEST(ExponentialCross, HasItsState) {
  NetworkConfig config = small_config("exponential_cross");
  config.settings.set("num_cross_layers", 1);
  config.dropout = {0.0};
  expect_state(config,
               {"b.0 [24]", "layer_norm.0.weight [12]", "layer_norm.0.bias [12]", "batch_norm.0.weight [1]",
                "batch_norm.0.bias [1]", "w.0.weight [12, 24]", "fc.weight [1, 24]", "fc.bias [1]",
                "batch_norm.0.running_mean [1]", "batch_norm.0.running_var [1]"},
               24 + 2 * 12 + 2 + 12 * 24 + 24 + 1);
}

TEST(ExponentialCross, ItsBiasStartsBetween0And1) {
  Builder build(3, DType::f64);
  const auto network =
      make_network(small_config("exponential_cross"), {.fields = 30, .dim = 4, .width = 120, .list = {}}, build);
  for (const Parameter& p : network->parameters()) {
    if (p.name != "b.0" && p.name != "b.1") continue;
    const Row b = p.tensor.to_vector<double>();
    EXPECT_GE(*std::min_element(b.begin(), b.end()), 0);
    EXPECT_LT(*std::min_element(b.begin(), b.end()), 0.2);
    EXPECT_GT(*std::max_element(b.begin(), b.end()), 0.8);
    EXPECT_LT(*std::max_element(b.begin(), b.end()), 1);
  }
}

TEST(ExponentialCross, HasItsGradients) { expect_gradients(small_config("exponential_cross")); }

TEST(ExponentialCross, DropsNumbersOfItsLastLayer) { expect_dropout_in(0, 24, small_config("exponential_cross")); }

TEST(ExponentialCross, NeedsADimensionThatCanBeHalved) {
  expect_refusal(small_config("exponential_cross"), "network exponential_cross: embedding_dim 5 must be even", 5);
}

}  // namespace
}  // namespace kdef::nn
