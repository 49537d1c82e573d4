// The rows of an embedding table, and which of them a process holds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "core/tensor/tensor.h"

namespace kdef::nn {

/// Independent normal numbers, each of which follows from its place alone: element i of a tensor is drawn from the
/// stream at the position 4 i.
struct NormalValues {
  uint64_t seed = 0, stream = 0;
  double deviation = 0;
  bool zeros = false;  // every value is 0

  /// Overwrites `part`, on the host, by the elements from number `first` on.
  void fill(const Tensor& part, int64_t first) const;
};

/// Which rows of a table a tensor holds, and where its rows come from.
///
/// The rows of a table are dealt out in blocks of kBlock: block b belongs to member (b + column) mod `members`.
/// Frequent ids come first in a vocabulary, so small blocks spread them over the members, and the column does so for
/// the first blocks of the tables. The tensor holds the blocks of one member, one after the other.
struct TableRows {
  static constexpr int64_t kBlock = 32;  // a block of f32 fills whole cache lines, whatever its width

  int64_t rows = 0;    // of the whole table
  int64_t column = 0;  // of the batch's ids: the first one that names rows of this table
  NormalValues initial;
  int64_t members = 1, member = 0;  // one member holds the whole table

  int64_t blocks() const { return (rows + kBlock - 1) / kBlock; }
  int64_t owner(int64_t row) const { return (row / kBlock + column) % members; }
  /// The place of a row in its owner's tensor; places ascend as rows do.
  int64_t place(int64_t row) const { return row / kBlock / members * kBlock + row % kBlock; }
  /// The number of the first block of a member.
  int64_t first_block(int64_t of_member) const { return ((of_member - column) % members + members) % members; }
  /// Rows of a member.
  int64_t rows_of(int64_t of_member) const {
    const int64_t first = first_block(of_member);
    if (first >= blocks()) return 0;
    const int64_t count = (blocks() - first + members - 1) / members;
    const int64_t missing = owner(rows - 1) == of_member ? blocks() * kBlock - rows : 0;
    return count * kBlock - missing;
  }
  int64_t held_rows() const { return rows_of(member); }

  /// Calls fn(row, place, count) for each run of rows [row, row + count) with the places [place, place + count) in this
  /// member's tensor.
  template <class Fn>
  void for_held(Fn&& fn) const {
    int64_t place = 0;
    for (int64_t b = first_block(member); b < blocks(); b += members) {
      const int64_t count = std::min(kBlock, rows - b * kBlock);
      fn(b * kBlock, place, count);
      place += count;
    }
  }
};

}  // namespace kdef::nn
