// How CUDA launches are cut into blocks and threads, on a device and in its emulation.
#pragma once

#include <cstdint>

#include "core/base/integers.h"

namespace kdef::cuda {

/// Threads of a block, in every kind of launch.
inline constexpr int kBlockThreads = 256;
inline constexpr int kWarpThreads = 32;
/// The maximum of blocks in a launch over elements or rows. Where there is more to do, each thread takes several.
inline constexpr int64_t kMaxBlocks = 1 << 16;

inline int64_t blocks_for(int64_t n, int64_t per_block) {
  const int64_t blocks = divide_up(n, per_block);
  return blocks < kMaxBlocks ? blocks : kMaxBlocks;
}

}  // namespace kdef::cuda
