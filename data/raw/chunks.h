// Groups of chunks; internal to data/.
#pragma once

#include <vector>

#include "core/base/parallel.h"
#include "data/raw/row_source.h"

namespace kdef::data {

/// Chunks that threads share at a time. The number is fixed, so that results and errors do not depend on the number of
/// threads.
inline constexpr size_t kGroupChunks = 16;

/// Reads the next group into `chunks`, unparsed; returns how many there are, 0 at the end.
inline size_t read_chunks(RowSource& source, std::vector<Chunk>& chunks) {
  chunks.resize(kGroupChunks);
  size_t n = 0;
  while (n < kGroupChunks && source.read(chunks[n])) ++n;
  return n;
}

}  // namespace kdef::data
