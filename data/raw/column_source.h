// Rows of files that store columns. A file has parts, one after the other, each with all columns of some rows.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/raw/byte_source.h"
#include "data/raw/row_source.h"

namespace kdef::data {

/// One column of a part, from its first row on.
class ColumnStream {
 public:
  virtual ~ColumnStream() = default;
  /// The next `rows` rows, which the part has.
  virtual TypedColumn read(int64_t rows) = 0;
};

/// Threads share the columns of the parts that a group of chunks reaches into; a column is read from front to back.
/// Memory holds a group of chunks and what the open streams keep. Messages name a row by its number in the file,
/// from 1.
class ColumnSource : public RowSource {
 public:
  bool read(Chunk& chunk) override;
  void parse(Chunk& chunk) const override { parse_all({&chunk, 1}, {}); }
  bool parses_chunks() const override { return false; }
  void parse_all(std::span<Chunk> chunks, const std::function<void(size_t)>& then) const override;
  double fraction() const override;
  std::vector<FileState> files() const override { return {bytes_ ? bytes_->state() : state_}; }
  int64_t lines() const override { return rows_; }

  static constexpr int64_t kChunkRows = 8192;

 protected:
  std::string hint_of_header() const override { return ""; }
  /// InputError for a pipe, which is not read twice. `format` names the format in the message.
  ColumnSource(const std::string& path, const char* format);
  /// Sets the rows of every part, before anything is read; a chunk has at most `chunk_rows`.
  void set_parts(const std::vector<int64_t>& rows, int64_t chunk_rows = kChunkRows);
  /// Thread-safe.
  virtual std::unique_ptr<ColumnStream> open_column(size_t part, size_t column) const = 0;
  /// Called once all rows have been parsed: a folder may have more part files than a process may have open.
  virtual void close() const {}

 private:
  using Streams = std::vector<std::unique_ptr<ColumnStream>>;  // by slot
  size_t part_of(const Chunk& chunk) const;
  void parse_column(Streams& streams, size_t part, size_t slot, std::span<Chunk> chunks) const;

  void read_bytes(int64_t until);

  std::unique_ptr<ByteSource> bytes_;  // read beside the rows, for the hash of the content; none after the end
  FileState state_;                    // then
  std::vector<char> block_;
  int64_t hashed_ = 0;
  std::vector<int64_t> ends_;  // of every part: the rows up to its end
  int64_t rows_ = 0, next_ = 0, chunk_rows_ = kChunkRows;
  mutable std::map<size_t, Streams> open_;  // the parts that have been begun and not ended
};

}  // namespace kdef::data
