// Values of ops that move elements.
#include "ops/layout.h"

#include <gtest/gtest.h>

#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

TEST(Layout, MovesElements) {
  const Tensor x = t({0, 1, 2, 3, 4, 5}, {2, 3});
  expect_near(values(transpose(x, 0, 1)), {0, 3, 1, 4, 2, 5});
  expect_near(values(concat({x, t({8, 9}, {2, 1})}, 1)), {0, 1, 2, 8, 3, 4, 5, 9});
  expect_near(values(stack({t({1, 2}, {2}), t({3, 4}, {2})}, 1)), {1, 3, 2, 4});
  expect_near(values(slice(x, 1, 1, 2)), {1, 2, 4, 5});
  const std::vector<Tensor> parts = split(x, 1, {1, 2});
  expect_near(values(parts[0]), {0, 3});
  EXPECT_THROW(split(x, 1, {1, 1}), Error);
  EXPECT_THROW(concat({x, t({1, 2}, {1, 2})}, 0), Error);
}

}  // namespace
}  // namespace kdef::ops
