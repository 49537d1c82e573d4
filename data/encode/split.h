// Which rows of train_data become validation and test rows, where the program splits them.
#pragma once

#include <cstdint>
#include <vector>

#include "data/encode/progress.h"
#include "data/raw/row_source.h"
#include "data/schema.h"

namespace kdef::data {

enum class Part : uint8_t { train, valid, test };

/// The part of every row of train_data. The test rows are the last ones, the validation rows the last ones of the rest:
///   sequential  in the order of the file, or of the column split_by (numbers by their value, where all of its cells
///               are numbers, else texts by their bytes; equal ones in the order of the file)
///   random      in the order of numpy.random.shuffle after numpy.random.seed(split_seed), which is FuxiCTR's
/// Sizes: s < 1 is floor(s * rows), as in FuxiCTR.
class RowParts {
 public:
  /// Reads train_data once. InputError for a pipe, which cannot be read again, for sizes that leave a part without a
  /// row, and for an empty cell in split_by.
  RowParts(const DatasetConfig& config, const ProgressListener& progress);

  Part part(int64_t row) const;
  int64_t rows() const { return rows_; }
  int64_t rows(Part part) const {
    return part == Part::test ? test_ : part == Part::valid ? valid_ : rows_ - valid_ - test_;
  }

 private:
  void shuffle(uint32_t seed);
  void assign(const std::vector<int64_t>& order);

  int64_t rows_ = 0, valid_ = 0, test_ = 0;
  std::vector<Part> parts_;  // empty: in the order of the file
};

/// The rows of one part.
struct RowFilter {
  const RowParts* parts = nullptr;  // null: all rows
  Part part = Part::train;
};

/// Takes out of a parsed chunk, whose first row has the number `first` in its file, the rows that are not wanted.
void keep_rows(Chunk& chunk, int64_t first, const RowFilter& filter);

}  // namespace kdef::data
