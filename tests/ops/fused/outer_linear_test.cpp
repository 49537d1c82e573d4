// outer_linear against its parts, and its bits.
#include "ops/fused/outer_linear.h"

#include <gtest/gtest.h>

#include "core/base/parallel.h"
#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

struct Results {
  std::vector<V> all;  // y, and the gradients of a, b, weight and bias
};

// The rows make several groups and blocks; no width is a multiple of a vector.
Results computed(bool fused, DType type, int64_t rows) {
  const auto input = [&](const Shape& shape, uint64_t seed) {
    Tensor t = random_uniform(shape, -1, 1, seed).to(type);
    return t.set_requires_grad();
  };
  const Tensor a = input({rows, 23}, 1), b = input({rows, 37}, 2), weight = input({5, 23 * 37}, 3),
               bias = input({5}, 4);
  const Tensor y = fused ? outer_linear(a, b, weight, bias) : outer_linear_composed(a, b, weight, bias);
  backward(y, random_uniform(y.shape(), -0.1, 0.1, 5).to(type));
  Results r;
  for (const Tensor& t : {y, a.grad(), b.grad(), weight.grad(), bias.grad()}) r.all.push_back(values(t.to(DType::f64)));
  return r;
}

TEST(OuterLinear, AgreesWithItsParts) {
  for (const auto& [type, tolerance] : {std::pair{DType::f64, 1e-12}, {DType::f32, 2e-4}}) {
    for (const int64_t rows : {1, 7, 3001}) {
      const Results fused = computed(true, type, rows), composed = computed(false, type, rows);
      for (size_t i = 0; i < composed.all.size(); ++i) {
        ASSERT_EQ(fused.all[i].size(), composed.all[i].size());
        for (size_t k = 0; k < composed.all[i].size(); ++k) {
          ASSERT_NEAR(fused.all[i][k], composed.all[i][k], tolerance)
              << rows << " rows, result " << i << ", element " << k;
        }
      }
    }
  }
}

TEST(OuterLinear, TheFormula) {
  // y_0 = 1 a_0 b_0 + 2 a_0 b_1 + 3 a_1 b_0 + 4 a_1 b_1 + 10
  const Tensor y = outer_linear(t({2, 3}, {1, 2}), t({5, 7}, {1, 2}), t({1, 2, 3, 4}, {1, 4}), t({10}, {1}));
  expect_near(values(y), {10 + 28 + 45 + 84 + 10});
}

TEST(OuterLinear, DoesNotDependOnThreadsNorOnTheRowsBeside) {
  std::vector<V> first;
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    const Results r = computed(true, DType::f32, 3001);
    if (first.empty()) first = r.all;
    EXPECT_EQ(r.all, first) << threads;
  }
  const Tensor a = random_uniform({700, 23}, -1, 1, 1).to(DType::f32),
               b = random_uniform({700, 37}, -1, 1, 2).to(DType::f32),
               weight = random_uniform({5, 23 * 37}, -1, 1, 3).to(DType::f32);
  const V all = values(outer_linear(a, b, weight, {}).to(DType::f64));
  for (const int64_t row : {0, 153, 699}) {
    const V alone = values(outer_linear(a.rows(row, 1), b.rows(row, 1), weight, {}).to(DType::f64));
    for (size_t o = 0; o < 5; ++o) EXPECT_EQ(alone[o], all[static_cast<size_t>(row) * 5 + o]) << row;
  }
}

TEST(OuterLinear, RefusesShapesThatDoNotFit) {
  const Tensor a = Tensor::zeros({4, 2}, DType::f64), b = Tensor::zeros({4, 3}, DType::f64);
  EXPECT_THROW(outer_linear(a, b, Tensor::zeros({5, 5}, DType::f64), {}), Error);
  EXPECT_THROW(outer_linear(a, Tensor::zeros({3, 3}, DType::f64), Tensor::zeros({5, 6}, DType::f64), {}), Error);
  EXPECT_THROW(outer_linear(a, b, Tensor::zeros({5, 6}, DType::f64), Tensor::zeros({4}, DType::f64)), Error);
}

}  // namespace
}  // namespace kdef::ops
