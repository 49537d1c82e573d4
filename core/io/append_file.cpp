#include "core/io/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/error.h"

namespace kdef {

AppendFile::AppendFile(const std::string& path, int64_t keep)
    : path_(path), file_(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)) {
  struct stat status {};
  if (!file_.is_open() || ::fstat(file_.get(), &status) != 0) {
    throw system_failure(path_, "cannot be written", kWriteAdvice);
  }
  bytes_ = std::min<int64_t>(keep, status.st_size);
  if (bytes_ < status.st_size && ::ftruncate(file_.get(), bytes_) != 0) {
    throw system_failure(path_, cat("cannot be cut to ", bytes_, " bytes"));
  }
}

void AppendFile::append(std::string_view bytes) {
  try {
    file_.write(bytes.data(), bytes.size(), path_);
  } catch (const SystemError&) {
    [[maybe_unused]] const int ignored = ::ftruncate(file_.get(), bytes_);  // the error that is thrown is the first one
    throw;
  }
  bytes_ += static_cast<int64_t>(bytes.size());
}

void AppendFile::append_line(std::string_view line) {
  std::string text(line);
  text += '\n';
  append(text);
}

void AppendFile::sync() {
  if (::fsync(file_.get()) != 0) throw system_failure(path_, "cannot be synced to disk", kWriteAdvice);
}

}  // namespace kdef
