// Files that are never half written, and the checksum they carry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace kdef {

/// CRC-32 (ISO-HDLC, as zlib's), continuing from `before`.
uint32_t crc32(const void* data, size_t bytes, uint32_t before = 0);

/// A file written under a temporary name in the same folder; commit() syncs it and gives it its name. Without commit()
/// the temporary file is removed and a file that was there before is untouched. Where the path is a symbolic link, the
/// file that it leads to is replaced; a device or pipe is written as it is. Failures are SystemErrors with the path; a
/// folder or an empty path is an InputError.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, size_t bytes);
  void commit();

 private:
  [[noreturn]] void fail(const char* what);
  std::string path_, temporary_;  // temporary_ is empty for a device or pipe
  int fd_ = -1;
};

/// Makes a folder and those above it where they are missing; SystemError with its path where that fails.
void make_directories(const std::string& path);

/// Gives a file another name in its file system, in place of one that has it, and syncs that to disk; SystemError with
/// the new name where that fails.
void rename_file(const std::string& from, const std::string& to);

/// Whether there is something of that name; false too where that cannot be found out.
bool exists(const std::string& path);

/// Removes what killed writers of `path` left beside it. Only where nobody is writing it now.
void remove_leftovers(const std::string& path);

/// Writes `text` as a whole, all or nothing.
void write_file(const std::string& path, const std::string& text);

}  // namespace kdef
