// Refusals of matrix products on the tape, and their attributes.
#include "ops/linear.h"

#include <gtest/gtest.h>

#include "core/tensor/tape.h"
#include "ops/fused/hidden_linear.h"
#include "ops/fused/stacked.h"
#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

TEST(Linear, MatmulAndLinearCheckShapes) {
  const Tensor a = Tensor::zeros({2, 3}, DType::f64), b = Tensor::zeros({2, 4}, DType::f64);
  EXPECT_THROW(matmul(a, b), Error);
  EXPECT_EQ(matmul(a, b, true).shape(), (Shape{3, 4}));
  EXPECT_THROW(linear(a, b, {}), Error);
}

// "f32", "bf16" and so on: what the tape says that the product behind y multiplies.
std::string operands(const Tensor& y) {
  for (const Attribute& a : y.node()->attributes) {
    if (std::string(a.name) == "operands") return std::get<std::string>(a.value);
  }
  return "";
}

TEST(Linear, ProductsSayWhetherTheyRoundTheirOperands) {
  for (const GemmPrecision precision : precisions_here()) {
    const PrecisionScope scope(precision);
    const std::string large = precision == GemmPrecision::bf16 ? "bf16" : "f32";
    const auto draw = [](const Shape& shape, DType type = DType::f32) {
      return Tensor::full(shape, 0.5, type).set_requires_grad();
    };
    const Tensor x = draw({4000, 48}), weight = draw({40, 48}), bias = draw({40});
    EXPECT_EQ(operands(linear(x, weight, bias)), large);
    EXPECT_EQ(operands(matmul(x, weight, false, true)), large);
    EXPECT_EQ(operands(stacked_linear(x, draw({2, 40, 24}), {})), large);
    const HiddenLayer hidden{draw({48}), draw({48}), {Tensor::zeros({48})}, {Tensor::full({48}, 1)}};
    EXPECT_EQ(operands(hidden_linear(x, hidden, weight, bias)), large);
    EXPECT_EQ(operands(linear(draw({4000, 48}), draw({8, 48}), {})), "f32") << "too narrow to be worth rounding";
    EXPECT_EQ(operands(linear(draw({4000, 48}, DType::f64), draw({40, 48}, DType::f64), {})), "f64");
  }
}

}  // namespace
}  // namespace kdef::ops
