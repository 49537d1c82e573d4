// Values of losses.
#include "ops/loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/elementwise.h"
#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

TEST(Loss, HasTheValueOfItsFormula) {
  const Tensor p = t({0.9, 0.2, 0}, {3}), y = t({1, 0, 1}, {3});
  EXPECT_NEAR(binary_cross_entropy(p, y).item(), (-std::log(0.9) - std::log(0.8) + 100) / 3, 1e-12);
  const Tensor z = t({2, -1}, {2}), l = t({1, 0}, {2});
  EXPECT_NEAR(binary_cross_entropy_with_logits(z, l).item(), binary_cross_entropy(sigmoid(z), l).item(), 1e-14);
  EXPECT_NEAR(mean_squared_error(t({1, 2}, {2}), t({3, 5}, {2})).item(), 6.5, 1e-14);
}

TEST(Loss, WeighsRows) {
  const Tensor a = t({1, 2, 3, 4}, {2, 2}), b = t({1, 1, 1, 1}, {2, 2});
  EXPECT_NEAR(mean_squared_error(a, b, t({3, 1}, {2, 1})).item(), (3 * (0 + 1) + (4 + 9)) / (2.0 * 4), 1e-14);
  EXPECT_EQ(mean_squared_error(a, b, t({0, 0}, {2, 1})).item(), 0);
  EXPECT_THROW(mean_squared_error(a, b, t({1, 1}, {2})), Error);
}

// Weights of 1 change no bit, not even where a probability is 0 or 1.
TEST(Loss, WeightsOfOneAreNoWeights) {
  using Loss = Tensor (*)(const Tensor&, const Tensor&, const Tensor&);
  const Tensor ones = Tensor::full({5, 1}, 1, DType::f64);
  for (const Loss loss : {binary_cross_entropy, binary_cross_entropy_with_logits, mean_squared_error}) {
    std::vector<V> results[2];
    for (const bool weighted : {true, false}) {
      const Tensor x = t({0.9, 0.2, 0, 1, 0.5}, {5, 1}).set_requires_grad(), y = t({1, 0, 1, 0, 0.25}, {5, 1});
      const Tensor l = loss(x, y, weighted ? ones : Tensor());
      backward(l);
      results[weighted] = {values(l), values(x.grad())};
    }
    EXPECT_EQ(results[0], results[1]);
  }
}

}  // namespace
}  // namespace kdef::ops
