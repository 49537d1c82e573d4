// Rows of CSV and TSV files. Reading cuts the file into chunks of whole rows, one after the other; parsing a chunk into
// cells is independent of all others, so that threads can share the work.
// Format: cells between separators, rows end in LF or CRLF, a quoted cell ("...") may hold separators and line ends, ""
// in it is one quote. Empty lines are skipped. Bytes are kept as they are, whatever their encoding, NUL included; a
// UTF-8 byte order mark at the start is skipped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/raw/byte_source.h"

namespace kdef::data {

/// Some whole rows: their text, and after parse() the selected cells.
class Chunk {
 public:
  int64_t rows() const { return static_cast<int64_t>(lines_.size()); }
  /// `slot`: position in the selection.
  std::string_view cell(int64_t row, int64_t slot) const {
    const Cell& c = cells_[static_cast<size_t>(slot * column_ + row)];
    return {text_.data() + c.offset, c.size};
  }
  /// Line of the file, from 1, in which the row begins.
  int64_t line(int64_t row) const { return lines_[static_cast<size_t>(row)]; }

 private:
  friend class RowReader;
  struct Cell {
    uint32_t offset, size;
  };
  std::string text_;
  int64_t first_line_ = 1;
  int64_t column_ = 0;       // at least the rows: what a column of cells_ has room for
  std::vector<Cell> cells_;  // column by column, as they are counted and encoded
  std::vector<int64_t> lines_;
};

class RowReader {
 public:
  /// `separator`: one byte, or empty to go by the name (.tsv: tab, otherwise comma). `columns`: the names of the
  /// columns of a file without header line; empty: the first line has them. A file without header may lack the column
  /// `optional` of those named (the label of rows to predict).
  /// Throws InputError for a missing or empty file, and for duplicate column names.
  RowReader(const std::string& path, const std::string& separator, const std::vector<std::string>& columns,
            const std::string& optional = "");

  const std::string& path() const { return path_; }
  const std::vector<std::string>& columns() const { return columns_; }
  bool has_column(const std::string& name) const;
  /// The columns whose cells parse() keeps, in this order. InputError naming the columns there are for one that is not.
  void select(const std::vector<std::string>& names);

  /// The next whole rows, about kChunkBytes of text; false at the end.
  bool read(Chunk& chunk);
  /// Splits a chunk's text into cells. Thread-safe. InputError for a row with too few or too many cells.
  void parse(Chunk& chunk) const;

  double fraction() const { return source_->fraction(); }

  static constexpr size_t kChunkBytes = size_t{1} << 18;
  static constexpr size_t kMaxRowBytes = size_t{1} << 26;

 private:
  char* parse_row(char* p, char* end, std::vector<Chunk::Cell>* cells, const char* base) const;
  void parse_plain(Chunk& chunk, const std::vector<Chunk::Cell*>& places) const;
  void parse_quoted(Chunk& chunk, const std::vector<Chunk::Cell*>& places) const;
  void check_width(size_t found, int64_t line) const;
  size_t whole_rows(std::string& text) const;
  void fill();
  [[noreturn]] void too_long() const;
  void read_columns(const std::vector<std::string>& named, const std::string& optional);

  std::string path_;
  char separator_;
  std::unique_ptr<ByteSource> source_;
  std::vector<std::string> columns_;
  std::vector<int32_t> slots_;  // per column: its place in the selection, -1 if none
  int64_t selected_ = 0;
  std::string pending_;  // text read but not yet given out
  int64_t line_ = 1;     // of the first byte of pending_
  bool ended_ = false;
};

}  // namespace kdef::data
