// Values of elementwise ops.
#include "ops/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

TEST(Elementwise, Unary) {
  const Tensor x = t({-1.5, 0, 2}, {3});
  expect_near(values(neg(x)), {1.5, 0, -2});
  expect_near(values(abs(x)), {1.5, 0, 2});
  expect_near(values(exp(x)), {std::exp(-1.5), 1, std::exp(2.0)});
  expect_near(values(log(t({0.5, 3}, {2}))), {std::log(0.5), std::log(3.0)});
  expect_near(values(sqrt(t({4, 2}, {2}))), {2, std::sqrt(2.0)});
  expect_near(values(square(x)), {2.25, 0, 4});
  expect_near(values(relu(x)), {0, 0, 2});
  expect_near(values(sigmoid(x)), {1 / (1 + std::exp(1.5)), 0.5, 1 / (1 + std::exp(-2.0))});
  expect_near(values(tanh(x)), {std::tanh(-1.5), 0, std::tanh(2.0)});
  expect_near(values(sin(x)), {std::sin(-1.5), 0, std::sin(2.0)});
  expect_near(values(cos(x)), {std::cos(-1.5), 1, std::cos(2.0)});
  expect_near(values(scale(x, 3)), {-4.5, 0, 6});
  expect_near(values(shift(x, 3)), {1.5, 3, 5});
  expect_near(values(pow(t({4, 2}, {2}), 1.5)), {8, std::pow(2.0, 1.5)});
  expect_near(values(clamp_min(x, -1)), {-1, 0, 2});
  expect_near(values(leaky_relu(x, 0.01)), {-0.015, 0, 2});
  expect_near(values(silu(x)), {-1.5 / (1 + std::exp(1.5)), 0, 2 / (1 + std::exp(-2.0))});
  // Phi(-1.5) and Phi(2) of the normal distribution, from tables.
  expect_near(values(gelu(x)), {-1.5 * 0.06680720126885807, 0, 2 * 0.9772498680518208});
}

TEST(Elementwise, ActivationsKeepTheirDigitsFarFromZero) {
  EXPECT_NEAR(values(gelu(t({-12}, {1})))[0] / -2.13177853449e-32, 1, 1e-9);  // -12 Phi(-12)
  const V y = values(silu(t({-800, 800}, {2})));
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], 800);
  for (const Tensor& nan : {silu(t({NAN}, {1})), gelu(t({NAN}, {1})), leaky_relu(t({NAN}, {1}), 0.01)}) {
    EXPECT_TRUE(std::isnan(nan.item()));
  }
}

TEST(Elementwise, SigmoidIsExactAtBothEnds) {
  const V y = values(sigmoid(t({-800, -40, 40, 800}, {4})));
  EXPECT_EQ(y[0], 0);
  EXPECT_NEAR(y[1] / std::exp(-40.0), 1, 1e-12);
  EXPECT_NEAR(y[2], 1, 1e-15);
  EXPECT_EQ(y[3], 1);
}

// The gradient check draws points of one quadrant.
TEST(Elementwise, TheAngleInEveryQuadrantAndAtTheOrigin) {
  const double pi = std::acos(-1.0);
  Tensor a = t({1, 1, -1, -1, 0, 2, 0}, {7}), b = t({1, -1, -1, 1, -3, 0, 0}, {7});
  a.set_requires_grad();
  b.set_requires_grad();
  const Tensor y = atan2(a, b);
  expect_near(values(y), {pi / 4, 3 * pi / 4, -3 * pi / 4, -pi / 4, pi, pi / 2, 0});
  backward(y, Tensor::full({7}, 2, DType::f64));
  expect_near(values(a.grad()), {1, -1, -1, 1, -2.0 / 3, 0, 0});
  expect_near(values(b.grad()), {-1, -1, 1, 1, 0, -1, 0});
}

TEST(Elementwise, BinaryBroadcasts) {
  const Tensor a = t({1, 2, 3, 4, 5, 6}, {2, 1, 3}), b = t({10, 20}, {2, 1});
  const Tensor y = add(a, b);
  EXPECT_EQ(y.shape(), (Shape{2, 2, 3}));
  expect_near(values(y), {11, 12, 13, 21, 22, 23, 14, 15, 16, 24, 25, 26});
  expect_near(values(sub(a, Tensor::full({}, 1, DType::f64))), {0, 1, 2, 3, 4, 5});
  expect_near(values(mul(t({1, 2}, {2}), t({3, 4}, {2}))), {3, 8});
  expect_near(values(div(t({1, 2}, {2}), t({4}, {1}))), {0.25, 0.5});
  EXPECT_THROW(add(t({1, 2}, {2}), t({1, 2, 3}, {3})), Error);
  EXPECT_THROW(add(t({1}, {1}), Tensor::zeros({1})), Error);  // f64 and f32
}

}  // namespace
}  // namespace kdef::ops
