// The CUDA backend on the host, for tests. Kernels run block by block and thread by thread, with the indices that a
// launch gives them on a GPU. Threads that wait for each other (Block::sync, sums over a warp) are fibers of one host
// thread, so that a thread which does not come is found. core/cuda/launch.cuh includes this header.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/cuda/geometry.h"
#include "core/cuda/runtime.h"

namespace kdef::cuda {
namespace emulated {

/// Runs `work` now. While a Graph is recorded, keeps `work` instead and runs it whenever the graph is launched.
void enqueue(std::function<void()> work);

/// While it lives, the host may read the device's memory: for tests of many small launches, which would otherwise spend
/// their time on opening and closing that memory.
class OpenMemory {
 public:
  OpenMemory();
  ~OpenMemory();
  OpenMemory(const OpenMemory&) = delete;
  OpenMemory& operator=(const OpenMemory&) = delete;
};

/// Where a number of fibers wait for each other.
class Meeting {
 public:
  explicit Meeting(int members) : members_(members) {}
  /// Returns once every member has made as many calls as the calling one.
  void wait();

 private:
  int members_, arrived_ = 0;
  int64_t generation_ = 0;
};

/// Runs body(0) .. body(count - 1) as fibers of this thread, in turn. Throws Error if the remaining fibers all wait for
/// fibers that have ended.
void run_fibers(int count, const std::function<void(int)>& body);

// The state that the threads of a warp or of a block share.
struct WarpState {
  Meeting meeting{kWarpThreads};
  double slots[kWarpThreads] = {};
};
struct BlockState {
  Meeting meeting{kBlockThreads};
  std::vector<WarpState> warps = std::vector<WarpState>(kBlockThreads / kWarpThreads);
  double sums[kBlockThreads / kWarpThreads] = {};
  std::vector<double> shared;
};

class Warp {
 public:
  Warp(WarpState& state, int id) : state_(state), id_(id) {}
  int id() const { return id_; }
  int size() const { return kWarpThreads; }
  template <class T>
  T sum(T v) const {
    return combine(v, [](T a, T b) { return a + b; });
  }
  template <class T>
  T max(T v) const {
    return combine(v, [](T a, T b) { return a > b ? a : b; });
  }

 private:
  template <class T, class Fn>
  T combine(T v, Fn fn) const {
    for (int offset = kWarpThreads / 2; offset > 0; offset /= 2) {
      state_.slots[id_] = static_cast<double>(v);
      state_.meeting.wait();
      const T other = static_cast<T>(state_.slots[id_ ^ offset]);
      state_.meeting.wait();
      v = fn(v, other);
    }
    return v;
  }
  WarpState& state_;
  int id_;
};

class Block {
 public:
  Block(BlockState& state, int64_t index, int64_t count, int thread)
      : state_(state), index_(index), count_(count), thread_(thread) {}
  int64_t index() const { return index_; }
  int64_t count() const { return count_; }
  int thread() const { return thread_; }
  int threads() const { return kBlockThreads; }
  void sync() const { state_.meeting.wait(); }
  template <class T>
  T* shared() const {
    return reinterpret_cast<T*>(state_.shared.data());
  }
  double sum(double v) const {
    const size_t warp = static_cast<size_t>(thread_ / kWarpThreads);
    v = Warp(state_.warps[warp], thread_ % kWarpThreads).sum(v);
    sync();
    if (thread_ % kWarpThreads == 0) state_.sums[warp] = v;
    sync();
    double total = 0;
    for (double w : state_.sums) total += w;
    return total;
  }

 private:
  BlockState& state_;
  int64_t index_, count_;
  int thread_;
};

template <class K>
void run_each(int64_t n, int64_t blocks, const K& kernel) {
  parallel_for(blocks, 16, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      for (int64_t thread = 0; thread < kBlockThreads; ++thread) {
        for (int64_t i = block * kBlockThreads + thread; i < n; i += blocks * kBlockThreads) kernel(i);
      }
    }
  });
}

template <class K>
void run_warps(int64_t rows, const K& kernel) {
  for (int64_t row = 0; row < rows; ++row) {
    WarpState state;
    run_fibers(kWarpThreads, [&](int lane) { kernel(Warp(state, lane), row); });
  }
}

template <class K>
void run_blocks(int64_t blocks, size_t shared_bytes, const K& kernel) {
  for (int64_t block = 0; block < blocks; ++block) {
    BlockState state;
    // Uninitialised on a GPU: NaN shows who reads it before writing.
    state.shared.assign(shared_bytes / sizeof(double) + 1, __builtin_nan(""));
    run_fibers(kBlockThreads, [&](int thread) { kernel(Block(state, block, blocks, thread)); });
  }
}

inline void report_id(Fault* fault, int64_t id, int64_t position, int64_t rows) {
#pragma omp critical(kdef_emulated_fault)
  if (fault->found == 0) *fault = {1, id, position, rows};
}

}  // namespace emulated
}  // namespace kdef::cuda
