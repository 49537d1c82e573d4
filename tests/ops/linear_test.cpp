// Refusals of matrix products on the tape.
#include "ops/linear.h"

#include <gtest/gtest.h>

#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

TEST(Linear, MatmulAndLinearCheckShapes) {
  const Tensor a = Tensor::zeros({2, 3}, DType::f64), b = Tensor::zeros({2, 4}, DType::f64);
  EXPECT_THROW(matmul(a, b), Error);
  EXPECT_EQ(matmul(a, b, true).shape(), (Shape{3, 4}));
  EXPECT_THROW(linear(a, b, {}), Error);
}

}  // namespace
}  // namespace kdef::ops
