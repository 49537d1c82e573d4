// A file that grows: a log whose lines are whole, whatever fails.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "core/io/descriptor.h"

namespace kdef {

/// A file opened for appending; it is made if it is missing. One writer at a time: take a FileLock where several
/// processes may come. Failures are SystemErrors with the path. A symbolic link, a file with several hard links, and
/// what is no regular file are InputErrors: writing there would change a file of another name.
class AppendFile {
 public:
  static constexpr int64_t kEverything = std::numeric_limits<int64_t>::max();

  /// Opens the file and cuts it to its first `keep` bytes; a shorter file keeps its length.
  explicit AppendFile(const std::string& path, int64_t keep = kEverything);

  /// Appends all of `bytes`. Where the disk refuses, the part that was written is cut off again, and the error is
  /// thrown: the file is as before.
  void append(std::string_view bytes);
  /// Appends `line` and "\n" in one piece.
  void append_line(std::string_view line);
  /// Returns once everything that was appended is on disk.
  void sync();

  /// The length of the file in bytes.
  int64_t bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  Descriptor file_;
  int64_t bytes_ = 0;
};

}  // namespace kdef
