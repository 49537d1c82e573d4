// The encoded file: fixed-size records of ids, numbers and a label, checksummed, mapped into memory.
// Layout, in the byte order of the machine: a header of 64 bytes (magic, byte order mark, version, columns, checksum),
// the records (int32 ids, float numerics, float label) row by row, a CRC-32 per block of kBlockRows records, and a
// footer of 16 bytes (number of rows, checksum of all CRCs and of the number).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/io/file.h"
#include "data/schema.h"

namespace kdef::data {

/// Rows as a model takes them. Row-major; `labels` is empty where there are none.
struct Batch {
  int64_t rows = 0;
  std::vector<int32_t> ids;     // [rows, id columns]
  std::vector<float> numerics;  // [rows, numeric columns]
  std::vector<float> labels;    // [rows]

  void resize(int64_t new_rows, int64_t id_columns, int64_t numeric_columns);
};

inline constexpr uint32_t kCacheVersion = 1;
inline constexpr int64_t kBlockRows = 4096;

/// Writes an encoded file; nothing has the final name before commit().
class EncodedWriter {
 public:
  EncodedWriter(const std::string& path, int64_t id_columns, int64_t numeric_columns);
  /// `batch` must have labels.
  void append(const Batch& batch);
  int64_t rows() const { return rows_; }
  void commit();

 private:
  int64_t id_columns_, numeric_columns_, rows_ = 0, in_block_ = 0;
  uint32_t crc_ = 0;
  std::vector<uint32_t> block_crcs_, buffer_;
  AtomicFile file_;
};

/// An encoded file, mapped read-only. Opening checks header, footer and size; verify() reads and checks everything.
/// Safe for any number of reading threads. Throws InputError for a file that is truncated, damaged or none of ours.
class EncodedFile {
 public:
  explicit EncodedFile(const std::string& path);
  ~EncodedFile();
  EncodedFile(EncodedFile&& other) noexcept;
  EncodedFile& operator=(EncodedFile&& other) noexcept;
  EncodedFile(const EncodedFile&) = delete;
  EncodedFile& operator=(const EncodedFile&) = delete;

  int64_t rows() const { return content_.rows; }
  int64_t id_columns() const { return content_.id_columns; }
  int64_t numeric_columns() const { return content_.numeric_columns; }
  const std::string& path() const { return path_; }
  const int32_t* ids(int64_t row) const { return reinterpret_cast<const int32_t*>(record(row)); }
  const float* numerics(int64_t row) const { return reinterpret_cast<const float*>(record(row)) + content_.id_columns; }
  float label(int64_t row) const { return numerics(row)[content_.numeric_columns]; }

  int64_t row_bytes() const { return content_.stride; }
  /// Has rows read from disk in one piece, as far as they are not in memory; does not wait for them.
  void will_need(int64_t row, int64_t count) const;

  /// Names the content: a checksum of the blocks' checksums.
  uint32_t fingerprint() const { return content_.fingerprint; }
  /// Checks the checksum of every block.
  void verify() const;
  /// Also checks that the columns are those of `map` and that every id has a row in its table.
  void verify(const FeatureMap& map) const;

 private:
  const std::byte* record(int64_t row) const { return content_.body + row * content_.stride; }
  void read_ends();
  void unmap();

  // Everything but the path, so that a move takes all of it.
  struct Content {
    void* mapping = nullptr;
    size_t bytes = 0;
    uint32_t fingerprint = 0;
    const std::byte* body = nullptr;
    int64_t rows = 0, id_columns = 0, numeric_columns = 0, stride = 0;
  };
  std::string path_;
  Content content_;
};

/// Id columns of a row: 1 for a categorical field, max_len for a sequence.
int64_t id_columns(const FeatureMap& map);
int64_t numeric_columns(const FeatureMap& map);

}  // namespace kdef::data
