// dcn against its formula, summed by hand.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/nn/networks/support.h"

namespace kdef::nn {
namespace {

using namespace test;

const EmbeddingShape kShape{.fields = 2, .dim = 3, .width = 6, .list = {}};

using Row = std::vector<double>;

double dot(const Row& a, const double* b) {
  double sum = 0;
  for (size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
  return sum;
}

// x_L of one row.
Row cross(const Row& x0, const std::map<std::string, Row>& p, int layers) {
  Row x = x0;
  for (int l = 0; l < layers; ++l) {
    const Row &w = p.at(cat("crossnet.cross_net.", l, ".weight.weight")),
              &b = p.at(cat("crossnet.cross_net.", l, ".bias"));
    const double s = dot(x, w.data());
    for (size_t k = 0; k < x.size(); ++k) x[k] += x0[k] * s + b[k];
  }
  return x;
}

struct Built {
  std::unique_ptr<Network> network;
  std::map<std::string, Row> parameters;
};

Built build_dcn(std::vector<int64_t> units, int layers) {
  Builder build(3, DType::f64);
  NetworkConfig config{.network = "dcn", .settings = {{"num_cross_layers", layers}}};
  config.hidden_activations.assign(units.size(), "relu");
  config.dropout.assign(units.size(), 0.0);
  config.hidden_units = std::move(units);
  Built built{make_network(config, kShape, build), {}};
  scramble(*built.network, 7);
  for (const Parameter& p : built.network->parameters()) built.parameters[p.name] = p.tensor.to_vector<double>();
  return built;
}

TEST(Dcn, CrossLayersAlone) {
  const Built dcn = build_dcn({}, 3);
  EXPECT_EQ(dcn.parameters.size(), 8u) << "3 times weight and bias, and fc";
  EXPECT_EQ(dcn.network->hidden_width(), 6);
  const Tensor e = ops::random_uniform({4, 2, 3}, -1, 1, 1);
  const Row all = e.to_vector<double>(), z = dcn.network->forward(e, {}).to_vector<double>();
  for (size_t b = 0; b < 4; ++b) {
    const Row x = cross(Row(all.begin() + 6 * b, all.begin() + 6 * (b + 1)), dcn.parameters, 3);
    EXPECT_NEAR(z[b], dot(x, dcn.parameters.at("fc.weight").data()) + dcn.parameters.at("fc.bias")[0], 1e-13);
  }
}

TEST(Dcn, StandsBesideAnMlp) {
  const Built dcn = build_dcn({2}, 2);
  const auto& p = dcn.parameters;
  const Tensor e = ops::random_uniform({4, 2, 3}, -1, 1, 1);
  const Row all = e.to_vector<double>(), z = dcn.network->forward(e, {}).to_vector<double>();
  for (size_t b = 0; b < 4; ++b) {
    const Row x0(all.begin() + 6 * b, all.begin() + 6 * (b + 1));
    Row h = cross(x0, p, 2);
    for (size_t u = 0; u < 2; ++u) {
      h.push_back(std::max(0.0, dot(x0, &p.at("dnn.mlp.0.weight")[6 * u]) + p.at("dnn.mlp.0.bias")[u]));
    }
    EXPECT_NEAR(z[b], dot(h, p.at("fc.weight").data()) + p.at("fc.bias")[0], 1e-13);
  }
}

// Its MLP multiplies the batch's distinct ids though the cross layers read whole embeddings.
TEST(Dcn, ItsMlpReadsDistinctIds) {
  Builder build(3, DType::f64);
  const EmbeddingTables tables(some_fields(), 4, build);
  const auto network = make_network(small_config(network_type("dcn")), tables.shape(), build);
  std::multiset<std::string> ops;
  const RecordObserver observer([&](const Recorded& r) { ops.insert(r.op.name); });
  const Pass pass{.training = true};
  network->forward(Fields(tables, some_ids(), some_values(), pass), pass);
  EXPECT_EQ(ops.count("distinct_linear"), 1u);
}

}  // namespace
}  // namespace kdef::nn
