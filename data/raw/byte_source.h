// The bytes of a file. Its name decides how it is decompressed: .gz by zlib, .zst by Zstandard, others not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace kdef::data {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills `out` with up to `bytes` bytes and returns their number; fewer than `bytes`, or 0, only at the end.
  virtual size_t read(char* out, size_t bytes) = 0;
  /// Share of the file that has been read, in [0, 1].
  double fraction() const;

  /// Throws InputError for a missing file, a folder, a format that is not read (.h5, .parquet, ...), or, while reading,
  /// damaged or truncated compressed data; SystemError where the system refuses.
  static std::unique_ptr<ByteSource> open(const std::string& path);

 protected:
  int64_t file_bytes_ = 0, consumed_ = 0;
};

}  // namespace kdef::data
