// Ops that do nothing but round, or watch, the gradient that passes through them.
#pragma once

#include "core/tensor/tape.h"
#include "ops/device/vectors.h"

namespace kdef::ops {

// Returns x. Its gradient is rounded to bf16, and passed on as a tensor of `type`: bf16 or f32.
inline const OpInfo kRoundedGradientInfo{"rounded_gradient", "y = x", "dx = dy rounded"};
inline Tensor rounded_gradient(const Tensor& x, DType type) {
  return record(kRoundedGradientInfo, x.detach(), {x}, {}, [=](const BackwardContext&, const Tensor& dy) {
    const Tensor dx = Tensor::empty(dy.shape(), DType::bf16);
    cpu::round_row(dy.data<float>(), dy.numel(), dx.data<BFloat16>());
    return std::vector<Gradient>{type == DType::bf16 ? dx : dx.to(type)};
  });
}
// Returns x, and stores the type of its gradient in `type`.
inline const OpInfo kWatchedInfo{"watched", "y = x", "dx = dy", true};
inline Tensor watched(const Tensor& x, DType& type) {
  return record(kWatchedInfo, x.detach(), {x}, {}, [&type](const BackwardContext&, const Tensor& dy) {
    type = dy.dtype();
    return std::vector<Gradient>{dy};
  });
}

}  // namespace kdef::ops
