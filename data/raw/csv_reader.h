// Rows of CSV and TSV files. Format: separators stand between cells; a row ends in LF or CRLF; a quoted cell ("...")
// may hold separators and line ends, and "" in it stands for one quote. Empty lines are skipped. Bytes of any encoding
// are kept unchanged, NUL included; a UTF-8 byte order mark at the start is skipped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/raw/byte_source.h"
#include "data/raw/row_source.h"

namespace kdef::data {

class CsvReader : public RowSource {
 public:
  /// `separator`: one byte; empty: a tab for a file named .tsv, otherwise a comma. `columns`: the names of the columns
  /// of a file without header line; empty: the first line has them. A file without header may lack the column
  /// `optional` of `columns` (the label of rows to predict).
  /// Throws InputError for a missing or empty file, and for duplicate column names.
  CsvReader(const std::string& path, const std::string& separator, const std::vector<std::string>& columns,
            const std::string& optional = "");

  bool read(Chunk& chunk) override;
  void parse(Chunk& chunk) const override;
  double fraction() const override { return source_->fraction(); }

  static constexpr size_t kChunkBytes = size_t{1} << 18;  // about the text of one chunk
  static constexpr size_t kMaxRowBytes = size_t{1} << 26;

 private:
  char* parse_row(char* p, char* end, std::vector<Chunk::Cell>* cells, const char* base) const;
  void parse_plain(Chunk& chunk, const std::vector<Chunk::Cell*>& places) const;
  void parse_quoted(Chunk& chunk, const std::vector<Chunk::Cell*>& places) const;
  void check_width(size_t found, int64_t line) const;
  size_t whole_rows(std::string& text) const;
  void fill();
  [[noreturn]] void too_long() const;
  void skip_blank_lines();
  std::vector<std::string> read_columns(const std::vector<std::string>& named, const std::string& optional);

  char separator_;
  std::unique_ptr<ByteSource> source_;
  std::string pending_;  // text that has been read and belongs to no chunk yet
  int64_t line_ = 1;     // of the first byte of pending_
  bool ended_ = false;
};

}  // namespace kdef::data
