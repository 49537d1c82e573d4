// Dropout masks of networks side by side in one matrix. Each network has the mask that it would have alone.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/hd.h"
#include "ops/dropout.h"
#include "ops/norm.h"

namespace kdef::ops::cuda {

/// A key for each block of `columns` columns. All keys have one seed, one step and one first row (check_stacked).
/// Element (row, column) of a block is number (first_row + row) * columns + column of the block's mask (ops/dropout.h).
struct BlockMasks {
  uint64_t seed;
  const uint64_t* step;
  double factor;
  uint32_t threshold;
  int64_t columns, first_row;
  uint64_t streams[kMaxStacked];  // among the arguments of a launch

  BlockMasks(double p, const std::vector<DropoutKey>& keys, int64_t all_columns)
      : seed(keys[0].seed),
        step(keys[0].step),
        factor(1.0 / (1.0 - p)),
        threshold(dropout_threshold(p)),
        first_row(keys[0].first_row),
        streams{} {
    columns = all_columns / static_cast<int64_t>(keys.size());
    for (size_t m = 0; m < keys.size(); ++m) streams[m] = keys[m].stream;
  }

  template <int V>
  struct Dropped {
    bool v[V];
    KDEF_DEVICE bool operator[](int k) const { return v[k]; }
  };

  /// The masks of V columns of one block; the first column is a multiple of V.
  template <int V>
  struct Columns {
    uint64_t seed, stream;
    int64_t columns, column, first_row;
    uint32_t threshold;
    KDEF_DEVICE Dropped<V> dropped(int64_t row) const {
      Dropped<V> all = {};
      if (threshold == 0) return all;
      const uint64_t first = static_cast<uint64_t>((first_row + row) * columns + column);
      const int number = static_cast<int>(first % kDropoutBlock);
      auto bits = Philox::block(seed, stream, first / kDropoutBlock);
      if constexpr (V == 4) {  // half of a block; an index computed at run time would move `bits` out of registers
        static_assert(kDropoutBlock == 8);
        if (number != 0) bits = {bits[2], bits[3], 0, 0};
        for (int k = 0; k < V; ++k) all.v[k] = dropout_bits(bits, k) < threshold;
      } else {
        static_assert(V == 1);
        all.v[0] = dropout_bits(bits, number) < threshold;
      }
      return all;
    }
  };
  template <int V>
  KDEF_DEVICE Columns<V> at(int64_t j) const {
    const int64_t block = j / columns;
    const DropoutKey key{seed, streams[block], step};
    return {seed, key.stream_now(), columns, j - block * columns, first_row, threshold};
  }
};

}  // namespace kdef::ops::cuda
