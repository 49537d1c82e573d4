#include "nn/networks/convolution.h"

#include <cmath>

#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/pad.h"

namespace kdef::nn {

Tensor padded_fields(const Tensor& x, int64_t count, double value) {
  return count == 0 ? x : ops::pad(x, 2, count, count, value);
}

Tensor channel_rows(const Tensor& x) {
  const int64_t rows = x.shape()[0], channels = x.shape()[1], size = x.shape()[2] * x.shape()[3];
  const Tensor last = ops::transpose(ops::reshape(x, {rows, channels, size}), 1, 2);
  return ops::reshape(last, {rows * size, channels});
}

Tensor from_channel_rows(const Tensor& rows, int64_t batch, int64_t fields) {
  const int64_t channels = rows.shape()[1], size = rows.shape()[0] / batch;
  const Tensor first = ops::transpose(ops::reshape(rows, {batch, size, channels}), 1, 2);
  return ops::reshape(first, {batch, channels, fields, size / fields});
}

FieldConvolution::FieldConvolution(int64_t in, int64_t out, int64_t height, int64_t padding, Builder& build)
    : in_(in), out_(out), height_(height), padding_(padding) {
  const double bound = 1 / std::sqrt(static_cast<double>(in * height));
  weight_ = add_parameter("weight", build.uniform({out, in, height, 1}, -bound, bound));
  bias_ = add_parameter("bias", build.uniform({out}, -bound, bound));
}

Tensor FieldConvolution::forward(const Tensor& x) const {
  const Tensor wide = padded_fields(x, padding_, 0);
  const int64_t rows = x.shape()[0], dim = x.shape()[3], fields = wide.shape()[2] - height_ + 1;
  std::vector<Tensor> shifted;
  for (int64_t m = 0; m < height_; ++m) shifted.push_back(ops::slice(wide, 2, m, fields));
  // [B, C, k, H, D]: a channel of its image is a pair (c, m).
  const Tensor all = ops::reshape(ops::stack(shifted, 2), {rows, in_ * height_, fields, dim});
  return from_channel_rows(ops::linear(channel_rows(all), ops::reshape(weight_, {out_, in_ * height_}), bias_), rows,
                           fields);
}

}  // namespace kdef::nn
