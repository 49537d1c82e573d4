// What pooling a sequence of ids means, shared by the kernels of all devices.
#pragma once

#include <cstdint>

#include "core/base/hd.h"

namespace kdef::ops {

/// How many of n ids are not padding.
template <class I>
KDEF_HD int64_t count_ids(const I* ids, int64_t n) {
  int64_t count = 0;
  for (int64_t l = 0; l < n; ++l) count += ids[l] != 0;
  return count;
}

/// 1 / count, and 1 where count is 0.
template <class T>
KDEF_HD T average_factor(int64_t count) {
  return T(1) / static_cast<T>(count > 1 ? count : 1);
}

}  // namespace kdef::ops
