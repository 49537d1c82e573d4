#include "core/tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/tensor/tape.h"

namespace kdef {
namespace {

TEST(Tensor, HoldsWhatItWasGiven) {
  const Tensor t = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  EXPECT_EQ(t.shape(), (Shape{2, 3}));
  EXPECT_EQ(t.to_vector<float>(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(t.bytes(), 24u);
}

TEST(Tensor, ViewsShareData) {
  Tensor t = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {3, 2});
  const Tensor row = t.rows(1, 1);
  row.data<float>()[0] = 30;
  EXPECT_EQ(t.to_vector<float>()[2], 30);
  EXPECT_TRUE(t.alias({6}).same_storage(t));
  EXPECT_FALSE(t.clone().same_storage(t));
}

TEST(Tensor, RefusesWrongUse) {
  const Tensor t = Tensor::zeros({2, 3});
  EXPECT_THROW(t.data<double>(), Error);
  EXPECT_THROW(t.alias({5}), Error);
  EXPECT_THROW(t.rows(1, 2), Error);
  EXPECT_THROW(t.item(), Error);
  EXPECT_THROW(Tensor().shape(), Error);
  EXPECT_THROW(Tensor::from<float>({1, 2}, {3}), Error);
  EXPECT_THROW(Shape({-1}), Error);
  EXPECT_THROW(Tensor::zeros({2}, DType::i32).set_requires_grad(), Error);
}

TEST(Tensor, ErrorsNameShapesAndTypes) {
  try {
    Tensor::zeros({2, 3}).alias({4, 2});
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("[2, 3]"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("[4, 2]"), std::string::npos);
  }
}

TEST(Tensor, ConvertsTypes) {
  const Tensor t = Tensor::from<float>({0.5f, -2}, {2}).to(DType::f64);
  EXPECT_EQ(t.to_vector<double>(), (std::vector<double>{0.5, -2}));
}

TEST(Tensor, WidensBf16) {
  const Tensor t = Tensor::from<BFloat16>({{0x3F80}, {0xC049}, {0x0001}, {0x7F80}}, {4});  // pi is 0x40490FDB
  EXPECT_EQ(t.to(DType::f32).to_vector<float>(), (std::vector<float>{1, -3.140625f, std::ldexp(1.0f, -133), INFINITY}));
  EXPECT_EQ(t.to(DType::f64).to_vector<double>(), (std::vector<double>{1, -3.140625, std::ldexp(1.0, -133), INFINITY}));
}

}  // namespace
}  // namespace kdef
