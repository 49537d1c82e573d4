// Convolutions over the fields, against sums by hand.
#include "nn/networks/convolution.h"

#include <gtest/gtest.h>

namespace kdef::nn {
namespace {

std::vector<double> values(const Tensor& t) { return t.to_vector<double>(); }

// One row, one channel, three fields of two columns.
Tensor image() { return Tensor::from<double>({1, 10, 2, 20, 3, 30}, {1, 1, 3, 2}); }

TEST(FieldConvolution, AddsUpNeighbouringFieldsOfEveryColumn) {
  Builder build(1, DType::f64);
  const FieldConvolution convolution(1, 2, 2, 1, build);
  for (Parameter& p : convolution.parameters()) {
    // Channel 0: the field before times 1, the field itself times 2; channel 1: its negative, plus 100.
    const std::vector<double> of = p.name == "weight" ? std::vector<double>{1, 2, -1, -2} : std::vector<double>{0, 100};
    p.tensor.copy_from(Tensor::from(of, p.tensor.shape()));
  }
  const Tensor y = convolution.forward(image());
  EXPECT_EQ(y.shape(), (Shape{1, 2, 4, 2}));
  EXPECT_EQ(values(y), (std::vector<double>{2, 20, 5, 50, 8, 80, 3, 30, 98, 80, 95, 50, 92, 20, 97, 70}));
}

TEST(FieldConvolution, AddsUpChannels) {
  Builder build(1, DType::f64);
  const FieldConvolution convolution(2, 1, 1, 0, build);
  for (Parameter& p : convolution.parameters()) {
    const std::vector<double> of = p.name == "weight" ? std::vector<double>{3, 5} : std::vector<double>{0.5};
    p.tensor.copy_from(Tensor::from(of, p.tensor.shape()));
  }
  const Tensor two = Tensor::from<double>({1, 2, 10, 20}, {1, 2, 2, 1});
  EXPECT_EQ(values(convolution.forward(two)), (std::vector<double>{53.5, 106.5}));
}

TEST(FieldConvolution, PaddingStandsAtBothEndsOfTheFields) {
  EXPECT_EQ(values(padded_fields(image(), 1, 7)), (std::vector<double>{7, 7, 1, 10, 2, 20, 3, 30, 7, 7}));
  EXPECT_EQ(values(padded_fields(image(), 0, 7)), values(image()));
}

TEST(FieldConvolution, ChannelsBecomeColumnsAndComeBack) {
  const Tensor x = Tensor::from<double>({1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 2, 2});
  const Tensor rows = channel_rows(x);
  EXPECT_EQ(rows.shape(), (Shape{4, 2}));
  EXPECT_EQ(values(rows), (std::vector<double>{1, 5, 2, 6, 3, 7, 4, 8}));
  EXPECT_EQ(from_channel_rows(rows, 1, 2).shape(), x.shape());
  EXPECT_EQ(values(from_channel_rows(rows, 1, 2)), values(x));
}

}  // namespace
}  // namespace kdef::nn
