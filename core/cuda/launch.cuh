// How CUDA kernels are written and launched. A kernel is a struct that holds its arguments and says in operator() what
// one thread does; it is included by .cu files only.
//
// - for_each(n, K{..}) calls K::operator()(int64_t i) for every element.
// - for_warps(rows, K{..}) calls K::operator()(const Warp& lane, int64_t row) with a warp per row (ops/device/lane.h).
// - for_blocks(blocks, bytes, K{..}) calls K::operator()(const Block& block) with blocks of kBlockThreads threads
//   that can wait for each other and share `bytes` bytes of memory.
//
// Where KDEF_CUDA_EMULATED is set, the same kernels run on the host, block by block and thread by thread with the same
// indices (core/cuda/emulated.h). All sums have a fixed order: no atomic additions.
#pragma once

#include <cstdint>

#include "core/base/error.h"
#include "core/base/hd.h"
#include "core/cuda/geometry.h"
#include "core/cuda/runtime.h"

#if defined(KDEF_CUDA_EMULATED)
#include "core/cuda/emulated.h"
#else
#include <cuda_runtime.h>

#include "core/cuda/check.h"
#endif

namespace kdef::cuda {

/// The maximum number of tables or tensors that the arguments of one launch describe. More need several launches.
inline constexpr int64_t kDescribed = 64;

/// The first i of [low, high) for which before(i) is false, or high if there is none. before() must be true up to some
/// i and false from there on.
template <class Before>
KDEF_DEVICE int64_t partition_point(int64_t low, int64_t high, Before before) {
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (before(middle))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

#if !defined(KDEF_CUDA_EMULATED)

/// The lane policy of ops/device/lane.h: the 32 threads of a warp share a row.
struct Warp {
  KDEF_DEVICE int id() const { return static_cast<int>(threadIdx.x % kWarpThreads); }
  KDEF_DEVICE int size() const { return kWarpThreads; }
  /// Butterfly: every lane gets the same bits.
  template <class T>
  KDEF_DEVICE T sum(T v) const {
    for (int offset = kWarpThreads / 2; offset > 0; offset /= 2) v += __shfl_xor_sync(0xFFFFFFFFu, v, offset);
    return v;
  }
  template <class T>
  KDEF_DEVICE T max(T v) const {
    for (int offset = kWarpThreads / 2; offset > 0; offset /= 2) {
      const T other = __shfl_xor_sync(0xFFFFFFFFu, v, offset);
      v = v > other ? v : other;
    }
    return v;
  }
};

/// A block of threads, as one of its threads sees it.
struct Block {
  KDEF_DEVICE int64_t index() const { return blockIdx.x; }
  KDEF_DEVICE int64_t count() const { return gridDim.x; }
  KDEF_DEVICE int thread() const { return static_cast<int>(threadIdx.x); }
  KDEF_DEVICE int threads() const { return kBlockThreads; }
  KDEF_DEVICE void sync() const { __syncthreads(); }
  /// The block's shared memory, uninitialised.
  template <class T>
  KDEF_DEVICE T* shared() const {
    extern __shared__ __align__(16) unsigned char kdef_shared_bytes[];
    return reinterpret_cast<T*>(kdef_shared_bytes);
  }
  /// The sum over the block's threads, the same bits in each: over warps, then the warps' sums in order.
  KDEF_DEVICE double sum(double v) const {
    __shared__ double warps[kBlockThreads / kWarpThreads];
    v = Warp{}.sum(v);
    sync();
    if (thread() % kWarpThreads == 0) warps[thread() / kWarpThreads] = v;
    sync();
    double total = 0;
    for (double w : warps) total += w;
    return total;
  }
};

template <class K>
__global__ void __launch_bounds__(kBlockThreads) each_kernel(int64_t n, const K kernel) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBlockThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kBlockThreads + threadIdx.x; i < n; i += step) kernel(i);
}

template <class K>
__global__ void __launch_bounds__(kBlockThreads) warps_kernel(int64_t rows, const K kernel) {
  constexpr int kRows = kBlockThreads / kWarpThreads;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kRows;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kRows + threadIdx.x / kWarpThreads; row < rows; row += step) {
    kernel(Warp{}, row);
  }
}

template <class K>
__global__ void __launch_bounds__(kBlockThreads) blocks_kernel(const K kernel) {
  kernel(Block{});
}

template <class K>
void for_each(int64_t n, const K& kernel) {
  if (n == 0) return;
  each_kernel<<<static_cast<unsigned>(blocks_for(n, kBlockThreads)), kBlockThreads, 0, stream()>>>(n, kernel);
  check_launch();
}

template <class K>
void for_warps(int64_t rows, const K& kernel) {
  if (rows == 0) return;
  const unsigned blocks = static_cast<unsigned>(blocks_for(rows, kBlockThreads / kWarpThreads));
  warps_kernel<<<blocks, kBlockThreads, 0, stream()>>>(rows, kernel);
  check_launch();
}

/// At most 48 KiB of shared memory.
template <class K>
void for_blocks(int64_t blocks, size_t shared_bytes, const K& kernel) {
  if (blocks == 0) return;
  KDEF_CHECK(blocks < (int64_t{1} << 31) && shared_bytes <= 48 << 10, "cuda: a launch of ", blocks, " blocks with ",
             shared_bytes, " bytes of shared memory");
  blocks_kernel<<<static_cast<unsigned>(blocks), kBlockThreads, shared_bytes, stream()>>>(kernel);
  check_launch();
}

/// Reports an id outside its table of `rows` rows. The first report is kept.
KDEF_DEVICE void report_id(Fault* fault, int64_t id, int64_t position, int64_t rows) {
  if (atomicCAS(&fault->found, 0ULL, 1ULL) == 0) *fault = {1, id, position, rows};
}

#else

template <class K>
void for_each(int64_t n, const K& kernel) {
  if (n > 0) emulated::enqueue([n, kernel] { emulated::run_each(n, blocks_for(n, kBlockThreads), kernel); });
}

template <class K>
void for_warps(int64_t rows, const K& kernel) {
  if (rows > 0) emulated::enqueue([rows, kernel] { emulated::run_warps(rows, kernel); });
}

template <class K>
void for_blocks(int64_t blocks, size_t shared_bytes, const K& kernel) {
  KDEF_CHECK(shared_bytes <= 48 << 10, "cuda: a launch with ", shared_bytes, " bytes of shared memory");
  if (blocks > 0) emulated::enqueue([=] { emulated::run_blocks(blocks, shared_bytes, kernel); });
}

using emulated::Block;
using emulated::report_id;
using emulated::Warp;

#endif

}  // namespace kdef::cuda
