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

}  // namespace
}  // namespace kdef::ops
