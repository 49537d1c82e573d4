#include "core/io/temporary_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/error.h"

namespace kdef {

TemporaryFile::TemporaryFile(const std::string& folder) : folder_(folder) {
  // A file that never had a name, so that a kill leaves none. Some file systems need a name that is removed at once.
  file_ = Descriptor(uninterrupted([&] { return ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600); }));
  if (file_.is_open()) return;
  std::string name = folder + "/.temporary.XXXXXX";
  file_ = Descriptor(uninterrupted([&] { return ::mkostemp(name.data(), O_CLOEXEC); }));
  if (!file_.is_open()) throw system_failure(folder_, "no file can be made there", kWriteAdvice);
  ::unlink(name.c_str());
}

void TemporaryFile::write(const void* data, size_t bytes) { file_.write(data, bytes, folder_); }

void TemporaryFile::rewind() {
  if (::lseek(file_.get(), 0, SEEK_SET) != 0) throw system_failure(folder_, "cannot be read back");
}

bool TemporaryFile::read(void* data, size_t bytes) { return file_.read(data, bytes, folder_) == bytes; }

}  // namespace kdef
