// The training rows between the two passes of a preparation, on disk; internal to data/.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/io/temporary_file.h"

namespace kdef::data {

/// Groups of rows, as columns of bytes. Written once, then read once. Failures are SystemErrors that name the folder.
class Spool {
 public:
  struct Group {
    int64_t rows = 0;
    std::vector<std::string> columns;
  };

  explicit Spool(const std::string& folder) : file_(folder) {}

  void write(const Group& group);
  /// Goes to the first group.
  void rewind() { file_.rewind(); }
  /// The next group; false at the end.
  bool read(Group& group);

 private:
  TemporaryFile file_;
};

}  // namespace kdef::data
