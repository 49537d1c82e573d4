// A file without a name: space on disk for what does not fit into memory.
#pragma once

#include <cstddef>
#include <string>

#include "core/io/descriptor.h"

namespace kdef {

/// Written first, then read from its beginning. Nobody else can open it, and it is gone when this object or the process
/// ends, however it ends. Failures are SystemErrors that name the folder.
class TemporaryFile {
 public:
  /// Makes the file in `folder`, which must exist.
  explicit TemporaryFile(const std::string& folder);

  void write(const void* data, size_t bytes);
  /// The next read() starts at the first byte.
  void rewind();
  /// Reads the next `bytes` bytes. Returns false, with `data` undefined, if fewer are left.
  bool read(void* data, size_t bytes);

 private:
  std::string folder_;
  Descriptor file_;
};

}  // namespace kdef
