// A folder that appears under its name as a whole.
#pragma once

#include <string>

#include "core/io/descriptor.h"

namespace kdef {

/// A folder that is filled under a temporary name beside `path`; commit() gives it its name by one rename. Without
/// commit(), the destructor removes it, and the next writer of `path` removes what a killed one left. So a kill or a
/// full disk leaves nothing under the final name.
class StagedFolder {
 public:
  /// `path` must not exist, or be an empty folder, which is replaced and whose permissions are kept; otherwise
  /// InputError names what is there. Missing folders above it are made. SystemError where the system refuses.
  explicit StagedFolder(const std::string& path);
  ~StagedFolder();
  StagedFolder(const StagedFolder&) = delete;
  StagedFolder& operator=(const StagedFolder&) = delete;

  /// The temporary name: files are to be written there.
  const std::string& path() const { return temporary_; }
  void commit();

 private:
  std::string path_, temporary_;  // temporary_ is empty after commit()
  Descriptor folder_;
};

}  // namespace kdef
