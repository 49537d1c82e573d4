// Values of ops over pairs of fields.
#include "ops/pairs.h"

#include <gtest/gtest.h>

#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

TEST(Pairs, UpperTriangleRowByRow) {
  expect_near(values(upper_triangle(t({0, 1, 2, 3, 4, 5, 6, 7, 8}, {1, 3, 3}))), {1, 2, 5});
  EXPECT_THROW(upper_triangle(t({1, 2}, {1, 1, 2})), Error);
}

}  // namespace
}  // namespace kdef::ops
