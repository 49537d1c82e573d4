// A folder that is gone with its content when its owner ends.
#pragma once

#include <string>

#include "core/io/descriptor.h"

namespace kdef {

/// Makes an empty folder with a name of its own in `parent`, which must exist; SystemError where that fails. The
/// destructor removes the folder with everything in it; what a killed process left there is removed by the next
/// TemporaryFolder in `parent`.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& parent);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  /// The path of `name` in the folder.
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
  Descriptor lock_;
};

}  // namespace kdef
