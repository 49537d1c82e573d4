// What the columns of raw rows hold: every value with the number of its rows, in the training, validation and test
// rows.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/encode/progress.h"
#include "data/encode/split.h"
#include "data/encode/vocabulary.h"
#include "data/schema.h"

namespace kdef::data {

/// One column. A value is the text of a cell, or of an element where cells are lists. Memory: the distinct values and
/// about 64 bytes for each.
struct ColumnProfile {
  std::string name;
  bool lists = false;                         // cells are lists (Parquet, .npz)
  int64_t longest = 0;                        // then: elements of the longest one
  StringSet values;                           // without the empty cell
  std::array<std::vector<int64_t>, 3> count;  // by Part: of every value, how often it occurs
  std::array<int64_t, 3> missing{};           // by Part: empty cells

  int64_t count_of(Part part, int64_t value) const {
    return count[static_cast<size_t>(part)][static_cast<size_t>(value)];
  }
  /// Distinct values of the training rows that occur at least `min_count` times.
  int64_t distinct(int64_t min_count = 1) const;
  /// Of the values that occur in these rows, the share that occurs fewer than `min_count` times in the training rows.
  /// NaN where there are none.
  double unseen(Part part, int64_t min_count) const;
};

struct FileProfile {
  std::vector<ColumnProfile> columns;  // in the order of the file
  std::vector<std::string> unnamed;    // columns whose name is empty, not printable, or that of another column
  std::array<int64_t, 3> rows{};       // by Part
  std::vector<std::string> warnings;   // RowSource::warnings()

  const ColumnProfile& column(const std::string& name) const;
};

/// Reads all rows of train_data, valid_data and test_data once; where the data set splits train_data, that file once
/// more before. The result does not depend on the number of threads. InputError as from open_rows() and RowParts, and
/// for a pipe, which training could not read again.
FileProfile profile(const DatasetConfig& config, const ProgressListener& progress = {});

}  // namespace kdef::data
