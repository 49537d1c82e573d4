#include <gtest/gtest.h>

#include <cmath>

#include "nn/embedding.h"
#include "nn/network.h"
#include "ops/gradcheck.h"

namespace kdef::nn {
namespace {

std::vector<std::string> names(const Module& m) {
  std::vector<std::string> all;
  for (const Parameter& p : m.parameters()) all.push_back(p.name);
  for (const Buffer& b : m.buffers()) all.push_back(b.name);
  return all;
}

NetworkConfig mlp(double dropout, bool batch_norm) {
  return {"mlp", {4, 3}, {"relu", "relu"}, {dropout, dropout}, batch_norm, false};
}

TEST(Mlp, HasTheNamesOfASequential) {
  Builder build;
  EXPECT_EQ(
      names(*make_network(mlp(0, true), {2, 3, 6}, build)),
      (std::vector<std::string>{"mlp.0.weight", "mlp.0.bias", "mlp.1.weight", "mlp.1.bias", "mlp.3.weight",
                                "mlp.3.bias", "mlp.4.weight", "mlp.4.bias", "mlp.6.weight", "mlp.6.bias",
                                "mlp.1.running_mean", "mlp.1.running_var", "mlp.4.running_mean", "mlp.4.running_var"}));
  // A dropout layer takes a number, batch norm gives one back.
  EXPECT_EQ(names(*make_network(mlp(0.1, false), {2, 3, 6}, build)),
            (std::vector<std::string>{"mlp.0.weight", "mlp.0.bias", "mlp.3.weight", "mlp.3.bias", "mlp.6.weight",
                                      "mlp.6.bias"}));
}

TEST(Networks, UnknownNamesListTheKnown) {
  Builder build;
  NetworkConfig config = mlp(0, false);
  config.network = "mpl";
  try {
    make_network(config, {2, 3, 6}, build);
    FAIL();
  } catch (const InputError& e) {
    EXPECT_NE(std::string(e.what()).find("mlp"), std::string::npos);
  }
}

TEST(Initial, ValuesFollowTheirDistributions) {
  Builder build(7, DType::f64);
  const std::vector<double> w = build.xavier_normal(300, 200).to_vector<double>();
  double squares = 0;
  for (double x : w) squares += x * x;
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(w.size())), std::sqrt(2.0 / 500), 1e-3);
  EmbeddingTables tables({{"a", EmbeddingField::Kind::categorical, 1000, 1, 0, ""}}, 16, build);
  const std::vector<double> e = tables.parameters()[0].tensor.to_vector<double>();
  squares = 0;
  for (size_t i = 0; i < e.size(); ++i) {
    if (i < 16) {
      EXPECT_EQ(e[i], 0);
    }
    squares += e[i] * e[i];
  }
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(e.size() - 16)), 1e-4, 2e-6);
}

TEST(Initial, SameSeedSameValuesOtherSeedOthers) {
  Builder a(7), b(7), c(8);
  const auto wa = a.normal({5}, 1).to_vector<float>();
  EXPECT_EQ(b.normal({5}, 1).to_vector<float>(), wa);
  EXPECT_NE(c.normal({5}, 1).to_vector<float>(), wa);
  EXPECT_NE(a.normal({5}, 1).to_vector<float>(), wa);  // every parameter has its own stream
}

// A pass of step 0 that finds the number of its step in memory is the pass of that step.
TEST(Dropout, TheStepMayBeInMemory) {
  const auto run = [](uint64_t step, const uint64_t* device_step, bool fused) {
    Builder build(1, DType::f64);
    const auto network = make_network(mlp(0.5, true), {2, 3, 6}, build);
    Pass pass;
    pass.training = true;
    pass.step = step;
    pass.device_step = device_step;
    pass.fused = fused;
    return network->forward(ops::random_uniform({9, 2, 3}, -1, 1, 1), pass).to_vector<double>();
  };
  const uint64_t seven = 7;
  for (const bool fused : {true, false}) {
    EXPECT_EQ(run(0, &seven, fused), run(7, nullptr, fused));
    EXPECT_NE(run(0, &seven, fused), run(0, nullptr, fused));
  }
}

TEST(EmbeddingTables, FusedAgreesWithComposed) {
  using Kind = EmbeddingField::Kind;
  for (const int64_t dim_of_b : {0, 5}) {
    Builder build(7, DType::f64);
    const EmbeddingTables tables({{"a", Kind::categorical, 6, 1, 0, ""},
                                  {"b", Kind::sequence_average, 6, 3, dim_of_b, ""},
                                  {"c", Kind::sequence_sum, 6, 2, 0, "a"},
                                  {"d", Kind::numeric, 0, 1, 0, ""}},
                                 4, build);
    const Tensor ids = Tensor::from<int32_t>({1, 2, 0, 0, 5, 1, 0, 0, 0, 0, 0, 0, 3, 4, 5, 1, 2, 2}, {3, 6});
    const Tensor values = ops::random_uniform({3, 1}, -1, 1, 3);
    const Tensor fused = tables.forward(ids, values, true), composed = tables.forward(ids, values, false);
    EXPECT_EQ(fused.shape(), composed.shape());
    EXPECT_EQ(fused.shape(), dim_of_b ? (Shape{3, 17}) : (Shape{3, 4, 4}));
    const auto x = fused.to_vector<double>(), y = composed.to_vector<double>();
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 1e-18);
  }
}

TEST(Activations, AreNamed) {
  EXPECT_EQ(parse_activation("ReLU"), Activation::relu);
  EXPECT_THROW(parse_activation("gelux"), InputError);
}

}  // namespace
}  // namespace kdef::nn
