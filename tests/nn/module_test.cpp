#include "nn/module.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "nn/embedding.h"

namespace kdef::nn {
namespace {

TEST(Initial, ValuesFollowTheirDistributions) {
  Builder build(7, DType::f64);
  const std::vector<double> w = build.xavier_normal(300, 200).to_vector<double>();
  double squares = 0;
  for (double x : w) squares += x * x;
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(w.size())), std::sqrt(2.0 / 500), 1e-3);
  EmbeddingTables tables({{"a", EmbeddingField::Kind::id, 1000, 1, 0, ""}}, 16, build);
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

}  // namespace
}  // namespace kdef::nn
