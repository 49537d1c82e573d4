// The ids of cells that were seen recently, so that a frequent number is not parsed again; internal to data/.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "data/encode/vocabulary.h"

namespace kdef::data {

/// A direct-mapped table of cells of up to 8 bytes. A new cell replaces the cell at its place, so that the table takes
/// 16 KiB for any number of cells.
class RecentCells {
 public:
  /// Returns what make() gave for this cell. Calls make(), which may throw, if the table does not have the cell.
  template <class Make>
  int32_t id(std::string_view cell, Make&& make) {
    if (cell.size() > 8) return make();
    const uint64_t head = text_head(cell);
    const uint32_t mark = static_cast<uint32_t>(cell.size()) + 1;
    // Multiplicative hashing: the high bits of a product with 2^64 / golden ratio.
    Entry& entry = entries_[((head + mark) * 0x9E3779B97F4A7C15ull) >> (64 - kBits)];
    if (entry.head != head || entry.mark != mark) entry = {head, make(), mark};
    return entry.id;
  }

 private:
  static constexpr int kBits = 10;
  struct Entry {
    uint64_t head = 0;
    int32_t id = 0;
    uint32_t mark = 0;  // size of the cell + 1; 0: the entry is empty
  };
  std::vector<Entry> entries_ = std::vector<Entry>(size_t{1} << kBits);
};

}  // namespace kdef::data
