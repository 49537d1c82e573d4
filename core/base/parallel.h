// Threads, by OpenMP, so that there is one pool together with oneDNN's. Work is cut into pieces whose size does not
// depend on the number of threads, and partial results are added in the order of the pieces: every result, and every
// error, is the same for any number of threads.
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <vector>

#include "core/base/integers.h"

namespace kdef {

/// Whether this process is a child, by fork(2), of a process that had worked with several threads. Such a child has the
/// memory of that work and none of its threads, and libgomp would wait for them forever; so all its work is done by the
/// calling thread, with the same bits. exec(3) ends this state.
bool forked_after_threads();
/// Called before threads are used: lets a later fork() be noticed.
void note_threads();

/// Sets the number of threads of all later work of the calling thread; n >= 1. A thread of a server that sets 1 for
/// itself scores alone: no other thread is started for it, none waits, and none spins.
inline void set_num_threads(int n) { omp_set_num_threads(forked_after_threads() ? 1 : n); }
/// The number of threads that work of the calling thread may use.
inline int num_threads() { return omp_get_max_threads(); }

/// Elements of one piece of elementwise work: large enough to hide the cost of handing it out, small enough to share
/// the work evenly.
inline constexpr int64_t kPiece = 16384;

/// Calls fn(first, last) over disjoint ranges that cover [0, n), each of at most `piece` indices, on any thread and in
/// any order. Inside another parallel_for it runs on the calling thread. Where calls throw, the failure of the lowest
/// range is rethrown once all threads are done, whichever came first in time; ranges above it may be left out.
template <class Fn>
void parallel_for(int64_t n, int64_t piece, Fn&& fn) {
  const int64_t pieces = divide_up(n, piece);
  if (pieces <= 1 || omp_in_parallel() || num_threads() == 1) {
    for (int64_t p = 0; p < pieces; ++p) fn(p * piece, std::min(n, (p + 1) * piece));
    return;
  }
  note_threads();
  std::exception_ptr failure;
  std::atomic<int64_t> failed{pieces};  // the lowest piece that failed so far
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t p = 0; p < pieces; ++p) {
    if (p > failed.load(std::memory_order_relaxed)) continue;
    try {
      fn(p * piece, std::min(n, (p + 1) * piece));
    } catch (...) {
#pragma omp critical(kdef_parallel_failure)
      if (p < failed.load(std::memory_order_relaxed)) {
        failed.store(p, std::memory_order_relaxed);
        failure = std::current_exception();
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
}

/// Calls fn(i) for every i of [0, n), as parallel_for() does with pieces of one index.
template <class Fn>
void for_each_index(size_t n, Fn&& fn) {
  parallel_for(static_cast<int64_t>(n), 1, [&](int64_t i, int64_t) { fn(static_cast<size_t>(i)); });
}

/// Sum over [0, n) of fn(first, last) per piece, added in the order of the pieces.
template <class T, class Fn>
T parallel_sum(int64_t n, int64_t piece, Fn&& fn) {
  std::vector<T> parts(static_cast<size_t>(divide_up(n, piece)), T(0));
  parallel_for(n, piece,
               [&](int64_t first, int64_t last) { parts[static_cast<size_t>(first / piece)] = fn(first, last); });
  T total = 0;
  for (T part : parts) total += part;
  return total;
}

}  // namespace kdef
