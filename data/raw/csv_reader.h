// Rows of CSV and TSV files. Format: separators stand between cells; a row ends in LF or CRLF, or in CR where the file
// begins with such rows; a quoted cell ("...") may hold separators and line ends, and "" in it stands for one quote.
// Empty lines are skipped. Bytes of any encoding are kept unchanged, NUL included; a UTF-8 byte order mark at the start
// is skipped.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
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
  /// Throws InputError for a missing or empty file (allowed: such a file has no columns and no rows), and for a header
  /// line where `columns` says that there is none.
  enum class Empty { refused, allowed };
  CsvReader(const std::string& path, const std::string& separator, const std::vector<std::string>& columns,
            const std::string& optional = "", Quote quote = Quote::double_quote, Empty empty = Empty::refused);

  bool read(Chunk& chunk) override;
  void parse(Chunk& chunk) const override;
  double fraction() const override { return source_ ? source_->fraction() : 1; }
  std::vector<FileState> files() const override { return {source_ ? source_->state() : state_}; }
  int64_t lines() const override { return line_ - first_line_; }
  std::vector<std::string> warnings() const override;

  static constexpr size_t kChunkBytes = size_t{1} << 18;  // about the text of one chunk
  static constexpr size_t kMaxRowBytes = size_t{1} << 26;

 private:
  char* parse_row(char* p, char* end, std::vector<Chunk::Cell>* cells, const char* base, bool* odd = nullptr) const;
  void parse_plain(Chunk& chunk, const std::vector<Chunk::Cell*>& places) const;
  void parse_quoted(Chunk& chunk, const std::vector<Chunk::Cell*>& places) const;
  void check_width(size_t found, int64_t line) const;
  void check_header_again(std::string_view row, int64_t line) const;
  bool has_quotes(const std::string& text) const;
  size_t whole_rows(std::string& text) const;
  size_t first_rows(std::string& text, size_t whole) const;
  void fill();
  [[noreturn]] void too_long() const;
  void skip_blank_lines();
  std::vector<std::string> read_columns(const std::vector<std::string>& named, const std::string& optional);

  char separator_;
  bool quotes_;                         // a quote may begin a cell
  bool cr_ = false;                     // a row ends in CR
  std::unique_ptr<ByteSource> source_;  // none after the end
  FileState state_;                     // then
  std::string header_;                  // the header line without its end
  std::string pending_;                 // text that has been read and belongs to no chunk yet
  int64_t line_ = 1;                    // of the first byte of pending_
  int64_t first_line_ = 1;              // the one after the header
  bool ended_ = false;
  // The first row with a quoted cell that spans lines and goes on after its closing quote.
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  mutable std::atomic<int64_t> odd_line_ = kNone;
};

}  // namespace kdef::data
