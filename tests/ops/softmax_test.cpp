// Values of softmax and softmin.
#include "ops/softmax.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

TEST(Softmax, SoftmaxIsShiftInvariantAndDoesNotOverflow) {
  const V y = values(softmax(t({1000, 1001, 1002}, {3}), 0));
  const double e1 = std::exp(-1.0), e2 = std::exp(-2.0), total = 1 + e1 + e2;
  expect_near(y, {e2 / total, e1 / total, 1 / total});
  expect_near(values(softmin(t({1, 2}, {2}), 0)), {1 / (1 + e1), e1 / (1 + e1)});
}

}  // namespace
}  // namespace kdef::ops
