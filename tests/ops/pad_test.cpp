// Values of padding.
#include "ops/pad.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

TEST(Pad, PutsAValueAroundAnAxis) {
  const Tensor x = t({1, 2, 3, 4}, {2, 2});
  expect_near(values(pad(x, 1, 1, 2, 7)), {7, 1, 2, 7, 7, 7, 3, 4, 7, 7});
  expect_near(values(pad(x, 0, 1, 0)), {0, 0, 1, 2, 3, 4});
  expect_near(values(pad(x, -1, 0, 0)), {1, 2, 3, 4});
  EXPECT_EQ(pad(x, 1, 1, 2).shape(), (Shape{2, 5}));
  EXPECT_EQ(values(pad(x, 0, 0, 1, -std::numeric_limits<double>::infinity())).back(),
            -std::numeric_limits<double>::infinity());
  EXPECT_THROW(pad(x, 2, 1, 1), Error);
  EXPECT_THROW(pad(x, 1, -1, 1), Error);
}

}  // namespace
}  // namespace kdef::ops
