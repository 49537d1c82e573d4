// The bytes of a file. Its first bytes, not its name, decide how it is decompressed: gzip by zlib, Zstandard by zstd.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace kdef::data {

/// What tells one state of a file from another.
struct FileState {
  std::string path;
  int64_t size = 0;
  int64_t modified = 0, changed = 0;  // mtime and ctime, in ns
  uint64_t inode = 0;
  bool regular = false;  // false: a pipe or a device, whose bytes are gone once they are read
  // Whether a later change of the bytes must give the file another mtime: file systems keep times in steps of up to 2
  // s, so that two changes in one step look like one.
  bool settled = false;
  std::string content;  // a hash of the bytes; empty until all of them have been read

  /// Whether size, times and inode are equal.
  bool same_as(const FileState& other) const {
    return regular && other.regular && size == other.size && modified == other.modified && changed == other.changed &&
           inode == other.inode;
  }
};

/// The state of a file that nobody has read. InputError, SystemError as ByteSource::open().
FileState file_state(const std::string& path);
/// Reads the file for a hash of its bytes.
std::string content_of(const std::string& path);

/// How names of files of rows end, the ending of a compression aside.
inline constexpr const char* kRowEndings[] = {".csv", ".tsv", ".txt", ".parquet", ".npz", ".h5"};

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills `out` with up to `bytes` bytes and returns their number; fewer than `bytes`, or 0, only at the end.
  size_t read(char* out, size_t bytes);
  /// The next bytes, which read() will give again: `bytes` of them, fewer only at the end.
  std::string_view peek(size_t bytes);
  /// Share of the file that has been read, in [0, 1].
  double fraction() const;
  /// Of the file as it is on disk.
  virtual FileState state() const = 0;

  /// Throws InputError for a missing file, a folder, a format that is not read (a tar or zip archive, Parquet, UTF-16,
  /// ...), or, while reading, damaged or truncated compressed data; SystemError where the system refuses. "-" is
  /// standard input. A .zst file takes the memory of its window: 128 MiB at the most as zstd writes it by itself, up to
  /// 2 GiB with --long=31. At most two compressions may lie in each other.
  static std::unique_ptr<ByteSource> open(const std::string& path);
  /// The bytes as they are on disk.
  static std::unique_ptr<ByteSource> open_raw(const std::string& path);

 protected:
  /// What read() does, without the bytes of peek().
  virtual size_t pull(char* out, size_t bytes) = 0;
  int64_t file_bytes_ = 0, consumed_ = 0;

 private:
  std::string peeked_;
};

}  // namespace kdef::data
