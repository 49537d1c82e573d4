// Cells of rows that go through to an output as they stand, beside what a model makes of the rows.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "data/raw/row_source.h"

namespace kdef::data {

/// Another source, which also keeps the cells of some columns of the rows that parse_all() parses. Whoever reads the
/// rows takes the cells in the order of the rows; they stay in memory until then.
class KeptCells : public RowSource {
 public:
  /// InputError for a column that `rows` does not have.
  KeptCells(std::unique_ptr<RowSource> rows, std::vector<std::string> columns);

  /// The kept cells of the next row, as cells of a CSV file with a comma behind each.
  std::string next();

  void select(const std::vector<std::string>& names) override;
  void limit_rows(int64_t rows) override { rows_->limit_rows(rows); }
  bool read(Chunk& chunk) override { return rows_->read(chunk); }
  void parse(Chunk& chunk) const override { rows_->parse(chunk); }
  bool parses_chunks() const override { return rows_->parses_chunks(); }
  void parse_all(std::span<Chunk> chunks, const std::function<void(size_t)>& then) const override;
  double fraction() const override { return rows_->fraction(); }
  std::vector<FileState> files() const override { return rows_->files(); }
  int64_t lines() const override { return rows_->lines(); }
  std::vector<std::string> warnings() const override { return rows_->warnings(); }

 private:
  std::unique_ptr<RowSource> rows_;
  std::vector<std::string> columns_;
  std::vector<int64_t> slots_;             // of columns_, in the selection of rows_
  mutable std::deque<std::string> cells_;  // of the rows that were parsed and not taken
};

}  // namespace kdef::data
