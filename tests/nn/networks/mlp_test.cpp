// mlp against its formula, and networks that are computed together. The class Mlp: tests/nn/mlp_test.cpp.
#include <gtest/gtest.h>

#include "tests/nn/networks/example.h"

namespace kdef::nn {
namespace {

using namespace test;

Row mlp(const Example& net) { return net.mlp("", net.embeddings()); }

TEST(MlpNetwork, HasItsFormula) {
  expect_formula(small_config("mlp"), mlp);
  expect_formula({.network = "mlp"}, mlp);  // without hidden layers it is linear
}

TEST(MlpNetwork, NormalisesLayersWhereItDoesNotNormaliseBatches) {
  NetworkConfig config = small_config("mlp");
  config.layer_norm = true;
  expect_formula(config, mlp);
}

TEST(MlpNetwork, HasItsState) {
  expect_state(one_layer("mlp"), {"mlp.0.weight [5, 24]", "mlp.0.bias [5]", "mlp.2.weight [1, 5]", "mlp.2.bias [1]"},
               5 * 24 + 5 + 5 + 1);
  NetworkConfig config = one_layer("mlp");
  config.batch_norm = true;
  expect_state(config,
               {"mlp.0.weight [5, 24]", "mlp.0.bias [5]", "mlp.1.weight [5]", "mlp.1.bias [5]", "mlp.3.weight [1, 5]",
                "mlp.3.bias [1]", "mlp.1.running_mean [5]", "mlp.1.running_var [5]"},
               5 * 24 + 5 + 2 * 5 + 5 + 1);
}

TEST(MlpNetwork, HasItsGradients) { expect_gradients(small_config("mlp")); }

TEST(MlpNetwork, DropsUnitsOfItsLastLayer) { expect_dropout_in(0, 4, small_config("mlp")); }

TEST(ForwardAll, HasAColumnPerNetwork) {
  Builder build(3, DType::f64);
  const EmbeddingTables tables(some_fields(), 6, build), others(some_fields(), 6, build);
  std::vector<std::unique_ptr<Network>> networks;
  std::vector<const Network*> all;
  for (const char* name : {"mlp", "product", "mlp"}) {
    networks.push_back(make_network(small_config(name), tables.shape(), build));
    scramble(*networks.back(), 10 * networks.size());
    all.push_back(networks.back().get());
  }
  EXPECT_NE(mlp_of(*all[0]), nullptr);
  EXPECT_EQ(mlp_of(*all[1]), nullptr);
  for (const bool training : {false, true}) {
    const Pass pass{.training = training};
    const Fields shared(tables, some_ids(), some_values(), pass), own(others, some_ids(), some_values(), pass);
    const std::vector<Fields> fields{shared, shared, own};
    const Tensor z = forward_all(all, fields, pass);
    ASSERT_EQ(z.shape(), (Shape{6, 3}));
    for (size_t k = 0; k < 3; ++k) {
      const Row want = all[k]->forward(fields[k], pass).to_vector<double>(), got = z.to_vector<double>();
      for (size_t b = 0; b < 6; ++b) EXPECT_EQ(got[3 * b + k], want[b]) << "network " << k << ", row " << b;
    }
  }
  EXPECT_THROW(forward_all(all, {}, {}), Error);
}

}  // namespace
}  // namespace kdef::nn
