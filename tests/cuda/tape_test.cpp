// The tape with tensors of a device.
#include "core/tensor/tape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "tests/cuda/support.h"

namespace kdef {
namespace {

using test::kDevice;

// x itself; its gradient is 0, in bf16, as that of an op whose dx is an operand of the product in front.
const OpInfo kRoundingInfo{"rounding", "y = x", "dx = 0 rounded"};
Tensor rounding(const Tensor& x) {
  return record(kRoundingInfo, x.detach(), {x}, {}, [](const BackwardContext&, const Tensor& dy) {
    return std::vector<Gradient>{Tensor::zeros(dy.shape(), DType::bf16, dy.device())};
  });
}

Tensor leaf() {
  Tensor x = Tensor::from<float>({1, 2, 3}, {3}, kDevice);
  x.set_requires_grad();
  return x;
}

TEST(TapeOnADevice, ARoundedGradientIsNotAddedToOthers) {
  const Tensor x = leaf(), h = ops::scale(x, 2);
  for (const bool first : {true, false}) {
    const Tensor rounded = rounding(h), other = ops::neg(h);
    const Tensor loss = ops::sum(first ? ops::add(rounded, other) : ops::add(other, rounded));
    try {
      backward(loss);
      FAIL() << "accepted";
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), testing::AllOf(testing::HasSubstr("backward of 'rounding'"),
                                           testing::HasSubstr("the result of 'scale'"), testing::HasSubstr("readers")));
    }
  }
}

TEST(TapeOnADevice, ARoundedGradientOfOneReaderIsTaken) {
  const Tensor x = leaf();
  backward(ops::sum(rounding(ops::scale(x, 2))));
  EXPECT_EQ(x.grad().to_vector<float>(), (std::vector<float>{0, 0, 0}));
}

TEST(TapeOnADevice, GradientsOfTensorsThatAreNotSavedAreRight) {
  const Tensor a = leaf(), b = leaf();
  backward(ops::sum(ops::mul(ops::sub(ops::neg(a), ops::shift(b, 1)), b)));  // (-a - b - 1) b
  EXPECT_EQ(a.grad().to_vector<float>(), (std::vector<float>{-1, -2, -3}));
  EXPECT_EQ(b.grad().to_vector<float>(), (std::vector<float>{-4, -7, -10}));
}

}  // namespace
}  // namespace kdef
