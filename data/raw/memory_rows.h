// Rows that a program has in memory, to encode and score them without a file.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/raw/row_source.h"

namespace kdef::data {

/// Rows of text cells. A row in memory means what the same cells mean in a file; nothing is quoted. Messages name the
/// rows by their number, from 1.
class MemoryRows : public RowSource {
 public:
  /// `cells`: row by row, a cell per column; only the span is copied: the cells must outlive this object. `name` stands
  /// in messages where a file has its path. InputError where the cells do not make rows.
  MemoryRows(std::vector<std::string> columns, std::span<const std::string_view> cells,
             const std::string& name = "rows in memory");

  bool read(Chunk& chunk) override;
  void parse(Chunk& chunk) const override;
  double fraction() const override;
  int64_t lines() const override { return rows_; }

  static constexpr int64_t kChunkRows = 4096;

 private:
  int64_t width() const { return static_cast<int64_t>(columns().size()); }

  std::span<const std::string_view> cells_;
  int64_t rows_ = 0, next_ = 0;  // of all, and the first that is not in a chunk yet
};

}  // namespace kdef::data
