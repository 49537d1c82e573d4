// fm and deepfm against their formulas, summed by hand.
#include <gtest/gtest.h>

#include "tests/nn/networks/support.h"

namespace kdef::nn {
namespace {

using namespace test;

// w . x + b + sum over i < j of <e_i, e_j>, for row `b` of e [B, F, D].
double fm(const std::vector<double>& e, size_t b, size_t fields, size_t dim, const Module& network) {
  const std::vector<Parameter> p = network.parameters();  // lr_layer.weight [1, F D], lr_layer.bias [1] first
  const std::vector<double> w = p[0].tensor.to_vector<double>();
  const double* row = &e[b * fields * dim];
  double z = p[1].tensor.to_vector<double>()[0];
  for (size_t k = 0; k < fields * dim; ++k) z += w[k] * row[k];
  for (size_t i = 0; i < fields; ++i) {
    for (size_t j = i + 1; j < fields; ++j) {
      for (size_t d = 0; d < dim; ++d) z += row[i * dim + d] * row[j * dim + d];
    }
  }
  return z;
}

TEST(Fm, SumsTheLinearPartAndAllPairs) {
  Builder build(3, DType::f64);
  const auto network = make_network({.network = "fm"}, {.fields = 5, .dim = 3, .width = 15, .list = {}}, build);
  scramble(*network, 7);
  const Tensor e = ops::random_uniform({4, 5, 3}, -1, 1, 1);
  const std::vector<double> z = network->forward(e, {}).to_vector<double>();
  for (size_t b = 0; b < 4; ++b) EXPECT_NEAR(z[b], fm(e.to_vector<double>(), b, 5, 3, *network), 1e-13);
}

TEST(DeepFm, AddsAnMlp) {
  Builder build(3, DType::f64);
  const NetworkConfig config{
      .network = "deepfm", .hidden_units = {2}, .hidden_activations = {"relu"}, .dropout = {0.0}};
  const auto network = make_network(config, {.fields = 5, .dim = 3, .width = 15, .list = {}}, build);
  scramble(*network, 7);
  const std::vector<Parameter> p = network->parameters();  // then dnn.mlp.0 (weight, bias), dnn.mlp.2
  ASSERT_EQ(p[2].name, "dnn.mlp.0.weight");
  ASSERT_EQ(p[4].name, "dnn.mlp.2.weight");
  const auto w1 = p[2].tensor.to_vector<double>(), b1 = p[3].tensor.to_vector<double>(),
             w2 = p[4].tensor.to_vector<double>(), b2 = p[5].tensor.to_vector<double>();
  const Tensor e = ops::random_uniform({4, 5, 3}, -1, 1, 1);
  const std::vector<double> z = network->forward(e, {}).to_vector<double>(), x = e.to_vector<double>();
  for (size_t b = 0; b < 4; ++b) {
    double want = fm(x, b, 5, 3, *network) + b2[0];
    for (size_t u = 0; u < 2; ++u) {
      double h = b1[u];
      for (size_t k = 0; k < 15; ++k) h += w1[u * 15 + k] * x[b * 15 + k];
      want += w2[u] * std::max(h, 0.0);
    }
    EXPECT_NEAR(z[b], want, 1e-13);
  }
}

}  // namespace
}  // namespace kdef::nn
