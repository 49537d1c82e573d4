#include "core/io/temporary_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/error.h"

namespace kdef {

TemporaryFile::TemporaryFile(const std::string& folder) : folder_(folder) {
  std::string name = folder + "/.temporary.XXXXXX";
  file_ = Descriptor(::mkostemp(name.data(), O_CLOEXEC));
  if (!file_.is_open()) throw system_failure(folder_, "no file can be made there", kWriteAdvice);
  ::unlink(name.c_str());
}

void TemporaryFile::write(const void* data, size_t bytes) { file_.write(data, bytes, folder_); }

void TemporaryFile::rewind() {
  if (::lseek(file_.get(), 0, SEEK_SET) != 0) throw system_failure(folder_, "cannot be read back");
}

bool TemporaryFile::read(void* data, size_t bytes) { return file_.read(data, bytes, folder_) == bytes; }

}  // namespace kdef
