// Values of reductions.
#include "ops/reduce.h"

#include <gtest/gtest.h>

#include "core/base/parallel.h"
#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

TEST(Reduce, Reductions) {
  const Tensor x = t({1, 5, 2, 4, 3, 6}, {2, 3});
  expect_near(values(sum(x, 0)), {5, 8, 8});
  expect_near(values(sum(x, 1)), {8, 13});
  expect_near(values(mean(x, 1)), {8.0 / 3, 13.0 / 3});
  expect_near(values(max(x, 0)), {4, 5, 6});
  EXPECT_EQ(max(x, 1, true).shape(), (Shape{2, 1}));
  EXPECT_EQ(sum(x).item(), 21);
  EXPECT_EQ(mean(x).item(), 3.5);
  EXPECT_THROW(sum(x, 2), Error);
}

TEST(Reduce, TheLargestStayInTheirOrder) {
  // Columns 5 1 4 4 2 and 0 0 0 -1 0: of equal values the first are kept.
  Tensor x = t({5, 0, 1, 0, 4, 0, 4, -1, 2, 0}, {5, 2});
  x.set_requires_grad();
  const Tensor y = k_max(x, 0, 3);
  EXPECT_EQ(y.shape(), (Shape{3, 2}));
  expect_near(values(y), {5, 0, 4, 0, 4, 0});
  backward(y, t({1, 2, 3, 4, 5, 6}, {3, 2}));
  expect_near(values(x.grad()), {1, 2, 0, 4, 3, 6, 5, 0, 0, 0});
  expect_near(values(k_max(t({1, 3, 2}, {1, 3}), -1, 2)), {3, 2});
  expect_near(values(k_max(t({1, 3, 2}, {3}), 0, 3)), {1, 3, 2});
  expect_near(values(k_max(t({4, 4, 4, 4}, {4}), 0, 1)), {4});
  EXPECT_THROW(k_max(x, 0, 6), Error);
  EXPECT_THROW(k_max(x, 0, 0), Error);
}

TEST(Reduce, SumDoesNotDependOnThreads) {
  Tensor x = random_uniform({5000, 7}, -1, 1, 3).to(DType::f32);
  std::vector<float> first;
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    const std::vector<float> y = sum(x, 0).to_vector<float>();
    if (first.empty()) first = y;
    EXPECT_EQ(y, first);
  }
}

}  // namespace
}  // namespace kdef::ops
