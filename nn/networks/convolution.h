// Convolutions over the fields of a row, whose embeddings are an image [C, H, D] of C channels, H fields and D columns.
#pragma once

#include "nn/module.h"

namespace kdef::nn {

/// x [B, C, H, D] with `count` rows of `value` at both ends of H.
Tensor padded_fields(const Tensor& x, int64_t count, double value);

/// x [B, C, H, D] as rows of channels [B H D, C], and back to an image of B rows and H fields.
Tensor channel_rows(const Tensor& x);
Tensor from_channel_rows(const Tensor& rows, int64_t batch, int64_t fields);

/// A convolution over H of x [B, C, H, D], with a kernel of height k and `padding` rows of zeros at both ends:
///   y[c', h] = sum over c, m of W[c', c, m] x[c, h + m - padding] + b[c'], h < H + 2 padding - k + 1.
/// Values start uniform in [-1/sqrt(C k), 1/sqrt(C k)], as PyTorch's do. Names: weight [C', C, k, 1], bias [C'].
class FieldConvolution final : public Module {
 public:
  FieldConvolution(int64_t in, int64_t out, int64_t height, int64_t padding, Builder& build);
  Tensor forward(const Tensor& x) const;

 private:
  int64_t in_, out_, height_, padding_;
  Tensor weight_, bias_;
};

}  // namespace kdef::nn
