// Padding along an axis.
#pragma once

#include "core/tensor/tape.h"

namespace kdef::ops {

extern const OpInfo kPadInfo;

/// x with `before` elements of `value` in front of it and `after` behind it along `axis`.
Tensor pad(const Tensor& x, int axis, int64_t before, int64_t after, double value = 0);

}  // namespace kdef::ops
