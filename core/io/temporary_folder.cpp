#include "core/io/temporary_folder.h"

#include <sys/stat.h>

#include <filesystem>
#include <system_error>

#include "core/base/error.h"
#include "core/io/beside.h"
#include "core/io/file.h"

namespace kdef {

TemporaryFolder::TemporaryFolder(const std::string& parent) {
  const std::string name = parent + "/kdef.temporary";
  remove_leftovers(name);
  lock_ = make_folder_beside(name, path_, 0700);
  // The outer folder is locked; the inner one is the owner's, who may lock it.
  path_ += "/files";
  if (!lock_.is_open() || ::mkdir(path_.c_str(), 0700) != 0) {
    throw system_failure(parent, "no folder can be made there", kWriteAdvice);
  }
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(std::filesystem::path(path_).parent_path(), ignored);
}

}  // namespace kdef
