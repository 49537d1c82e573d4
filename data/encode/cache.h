// The encoded file: rows of fixed size, checksummed, mapped into memory. Its layout, in the byte order of the machine:
//   header   128 bytes: magic, byte order, version, columns, the named extra columns (weight, group), checksum
//   rows     int32 ids, float numeric cells, float label, then the header's extra columns: float weight, int32 group
//   CRC-32   of every block of kBlockRows rows
//   footer   16 bytes: number of rows, checksum of the CRCs and of this number
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/integers.h"
#include "core/io/file.h"
#include "core/io/mapped_file.h"
#include "data/batch.h"
#include "data/schema.h"

namespace kdef::data {

inline constexpr uint32_t kCacheVersion = 2;
inline constexpr int64_t kBlockRows = 4096;

/// The number of blocks of that many rows; the last one may be short.
inline int64_t blocks_of(int64_t rows) { return divide_up(rows, kBlockRows); }

/// Makes `records` the rows of a batch as they stand in a file of this layout. `batch` must have labels, and weights
/// and groups as the layout says. Groups must be below 2^31.
void encode_records(const Batch& batch, const RowLayout& layout, std::vector<uint32_t>& records);
/// The number of 32-bit words of a record.
int64_t words_of(const RowLayout& layout);

/// Writes an encoded file; nothing has the final name before commit().
class EncodedWriter {
 public:
  EncodedWriter(const std::string& path, const RowLayout& layout);
  /// `batch`: see encode_records().
  void append(const Batch& batch);
  void append(std::span<const uint32_t> records);
  int64_t rows() const { return rows_; }
  void commit();

 private:
  RowLayout layout_;
  int64_t rows_ = 0, in_block_ = 0;
  uint32_t crc_ = 0;
  std::vector<uint32_t> block_crcs_, buffer_;
  AtomicFile file_;
};

/// An encoded file, mapped read-only. Opening checks header, footer and size; verify() reads and checks everything.
/// Safe for any number of reading threads. Throws InputError for a file that is truncated, damaged or foreign.
class EncodedFile {
 public:
  explicit EncodedFile(const std::string& path);
  EncodedFile(EncodedFile&& other) noexcept { *this = std::move(other); }
  EncodedFile& operator=(EncodedFile&& other) noexcept;

  int64_t rows() const { return content_.rows; }
  const RowLayout& layout() const { return content_.layout; }
  int64_t id_columns() const { return content_.layout.id_columns; }
  int64_t numeric_columns() const { return content_.layout.numeric_columns; }
  const std::string& path() const { return path_; }

  const int32_t* ids(int64_t row) const { return reinterpret_cast<const int32_t*>(record(row)); }
  const float* numerics(int64_t row) const { return reinterpret_cast<const float*>(record(row)) + id_columns(); }
  float label(int64_t row) const { return numerics(row)[numeric_columns()]; }
  /// Only of a file whose layout has weights or groups.
  float weight(int64_t row) const { return numerics(row)[numeric_columns() + 1]; }
  int64_t group(int64_t row) const {
    return ids(row)[id_columns() + numeric_columns() + (content_.layout.weights ? 2 : 1)];
  }

  int64_t row_bytes() const { return content_.row_bytes; }
  /// Asks the system to read rows from disk in one piece; does not wait for them.
  void will_need(int64_t row, int64_t count) const;

  /// Identifies the content: a checksum of the blocks' checksums.
  uint32_t fingerprint() const { return content_.fingerprint; }
  /// Checks the checksum of every block.
  void verify() const;
  /// Also checks that the columns are those of `map`, that every id has a row in its table, and that weights are finite
  /// and not negative.
  void verify(const FeatureMap& map) const;

 private:
  // All members except the path: one assignment moves them.
  struct Content {
    MappedFile file;
    const std::byte* rows_begin = nullptr;
    RowLayout layout;
    int64_t rows = 0, row_bytes = 0;
    uint32_t fingerprint = 0;
  };

  const std::byte* record(int64_t row) const { return content_.rows_begin + row * content_.row_bytes; }
  void check_row(int64_t row, const std::vector<const Field*>& columns) const;

  std::string path_;
  Content content_;
};

}  // namespace kdef::data
