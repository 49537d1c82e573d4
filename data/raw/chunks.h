// Chunks of rows by the group; internal to data/.
#pragma once

#include <exception>
#include <vector>

#include "core/base/parallel.h"
#include "data/raw/reader.h"

namespace kdef::data {

/// Chunks that threads work on at a time. Fixed, so that results and errors do not depend on the number of threads.
inline constexpr size_t kGroupChunks = 16;

/// Calls fn(i) for i in [0, n) in any order on any thread; of several failures the one of the lowest i is rethrown.
template <class Fn>
void for_each_index(size_t n, Fn&& fn) {
  std::vector<std::exception_ptr> failures(n);
  parallel_for(static_cast<int64_t>(n), 1, [&](int64_t i, int64_t) {
    try {
      fn(static_cast<size_t>(i));
    } catch (...) {
      failures[static_cast<size_t>(i)] = std::current_exception();
    }
  });
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

/// Reads the next group into `chunks`, unparsed; returns how many there are, 0 at the end.
inline size_t read_chunks(RowReader& reader, std::vector<Chunk>& chunks) {
  chunks.resize(kGroupChunks);
  size_t n = 0;
  while (n < kGroupChunks && reader.read(chunks[n])) ++n;
  return n;
}

}  // namespace kdef::data
