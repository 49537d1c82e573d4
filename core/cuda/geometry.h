// How CUDA launches are cut, on a device and where it is emulated.
#pragma once

#include <cstdint>

#include "core/base/integers.h"

namespace kdef::cuda {

/// Threads of a block, for every kind of launch.
inline constexpr int kBlockThreads = 256;
inline constexpr int kWarpThreads = 32;
/// Blocks of a launch over elements or rows at most; each thread then takes several.
inline constexpr int64_t kMostBlocks = 1 << 16;

inline int64_t blocks_for(int64_t n, int64_t per_block) {
  const int64_t blocks = divide_up(n, per_block);
  return blocks < kMostBlocks ? blocks : kMostBlocks;
}

}  // namespace kdef::cuda
