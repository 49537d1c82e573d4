// Threads: OpenMP, so that there is one pool together with oneDNN's. Work is cut into pieces whose size does
// not depend on the number of threads, and partial results are combined in the order of the pieces: every
// number below is the same for any number of threads.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <vector>

namespace kdef {

/// Sets the number of threads of all later work; n >= 1.
inline void set_num_threads(int n) { omp_set_num_threads(n); }
inline int num_threads() { return omp_get_max_threads(); }

inline constexpr int64_t divide_up(int64_t n, int64_t parts) { return (n + parts - 1) / parts; }

/// Elements of one piece of elementwise work: large enough to hide the hand-out, small enough to balance.
inline constexpr int64_t kPiece = 16384;

/// Calls fn(first, last) over disjoint ranges covering [0, n), each of at most `piece` indices.
template <class Fn>
void parallel_for(int64_t n, int64_t piece, Fn&& fn) {
  const int64_t pieces = divide_up(n, piece);
  if (pieces <= 1 || omp_in_parallel() || num_threads() == 1) {
    for (int64_t p = 0; p < pieces; ++p) fn(p * piece, std::min(n, (p + 1) * piece));
    return;
  }
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t p = 0; p < pieces; ++p) {
    try {
      fn(p * piece, std::min(n, (p + 1) * piece));
    } catch (...) {
#pragma omp critical(kdef_parallel_failure)
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
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
