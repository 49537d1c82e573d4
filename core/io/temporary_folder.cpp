#include "core/io/temporary_folder.h"

#include <stdlib.h>

#include <filesystem>
#include <system_error>

#include "core/base/error.h"
#include "core/io/descriptor.h"

namespace kdef {

TemporaryFolder::TemporaryFolder(const std::string& parent) : path_(parent + "/kdef.XXXXXX") {
  if (::mkdtemp(path_.data()) == nullptr) throw system_failure(parent, "no folder can be made there", kWriteAdvice);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace kdef
