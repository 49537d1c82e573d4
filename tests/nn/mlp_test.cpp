#include "nn/mlp.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "nn/embedding.h"
#include "nn/networks/network.h"
#include "ops/check/gradcheck.h"

namespace kdef::nn {
namespace {

std::vector<std::string> names(const Module& m) {
  std::vector<std::string> all;
  for (const Parameter& p : m.parameters()) all.push_back(p.name);
  for (const Buffer& b : m.buffers()) all.push_back(b.name);
  return all;
}

NetworkConfig mlp(double dropout, bool batch_norm) {
  return {.network = "mlp",
          .hidden_units = {4, 3},
          .hidden_activations = {"relu", "relu"},
          .dropout = {dropout, dropout},
          .batch_norm = batch_norm};
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

// Whether two networks, or `count` of the first, may be computed side by side.
bool stackable(const NetworkConfig& a, const NetworkConfig& b, ops::GemmPrecision precision = ops::GemmPrecision::f32,
               int64_t width = 16, int count = 2) {
  Builder build;
  std::vector<std::unique_ptr<Network>> networks;
  std::vector<const Mlp*> mlps;
  for (int i = 0; i < count; ++i) {
    networks.push_back(make_network(i == 1 ? b : a, {2, width / 2, width}, build));
    mlps.push_back(mlp_of(*networks.back()));
  }
  return Mlp::stackable(mlps, precision);
}

TEST(Mlp, StacksWhatHasOneShape) {
  const NetworkConfig one = mlp(0.1, true);
  EXPECT_TRUE(stackable(one, one));
  EXPECT_TRUE(stackable(mlp(0, true), mlp(0, true)));
  EXPECT_FALSE(stackable(one, mlp(0.2, true))) << "another dropout";
  EXPECT_FALSE(stackable(one, mlp(0, true))) << "no dropout";
  EXPECT_FALSE(stackable(mlp(0.1, false), mlp(0.1, false))) << "no batch norm";
  NetworkConfig other = one;
  other.hidden_units = {4, 5};
  EXPECT_FALSE(stackable(one, other)) << "other widths";
  other = one;
  other.hidden_units = {4};
  other.hidden_activations = {"relu"};
  other.dropout = {0.1};
  EXPECT_FALSE(stackable(one, other)) << "fewer layers";
  other = one;
  other.hidden_activations = {"relu", "tanh"};
  EXPECT_FALSE(stackable(one, other)) << "another activation";
  other = {.network = "mlp", .batch_norm = true};
  EXPECT_FALSE(stackable(other, other)) << "no hidden layers";
  EXPECT_FALSE(stackable(one, one, ops::GemmPrecision::f32, 16, 1)) << "one network";
  EXPECT_TRUE(stackable(one, one, ops::GemmPrecision::f32, 16, 64));
  EXPECT_FALSE(stackable(one, one, ops::GemmPrecision::f32, 16, 65)) << "more than a launch knows";
}

// In bf16 the same products must be rounded as one by one, and rows be read by 16 bytes.
TEST(Mlp, StacksInBf16WhatIsRoundedAndAligned) {
  constexpr auto kBf16 = ops::GemmPrecision::bf16;
  const auto units = [](int64_t n) {
    NetworkConfig config = mlp(0, true);
    config.hidden_units = {16, n};
    return config;
  };
  EXPECT_TRUE(stackable(units(24), units(24), kBf16));
  EXPECT_FALSE(stackable(units(20), units(20), kBf16)) << "rows of 40 bytes";
  EXPECT_FALSE(stackable(units(8), units(8), kBf16)) << "too narrow";
  EXPECT_FALSE(stackable(units(24), units(24), kBf16, 18)) << "embeddings of 36 bytes";
  EXPECT_TRUE(Mlp::stacks_rows(kBf16, 16));
  EXPECT_FALSE(Mlp::stacks_rows(kBf16, 15)) << "too few rows";
  EXPECT_TRUE(Mlp::stacks_rows(ops::GemmPrecision::f32, 1));
}

}  // namespace
}  // namespace kdef::nn
