// Broadcasting, for every device's loops.
#pragma once

#include <array>

#include "core/base/shape.h"

namespace kdef::ops {

/// Element strides of a tensor of shape `x` seen as one of shape `y` (0 along broadcast axes).
inline std::array<int64_t, Shape::kMaxRank> broadcast_strides(const Shape& x, const Shape& y) {
  std::array<int64_t, Shape::kMaxRank> strides{};
  int64_t stride = 1;
  for (int i = x.rank() - 1, j = y.rank() - 1; i >= 0; --i, --j) {
    strides[static_cast<size_t>(j)] = x[i] == 1 && y[j] != 1 ? 0 : stride;
    stride *= x[i];
  }
  return strides;
}

}  // namespace kdef::ops
