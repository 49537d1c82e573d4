#include "core/io/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/io/file.h"

namespace kdef {
namespace {
// O_NONBLOCK: a pipe without a reader is refused, and not waited for. It changes nothing for a regular file.
constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
}  // namespace

AppendFile::AppendFile(const std::string& path, int64_t keep)
    : path_(path), file_(uninterrupted([&] { return ::open(path.c_str(), kFlags, 0666); })) {
  struct stat status {};
  if (!file_.is_open() && errno == ELOOP) refuse_link(path_);
  if (!file_.is_open() || ::fstat(file_.get(), &status) != 0) {
    throw system_failure(path_, "cannot be written", kWriteAdvice);
  }
  if (!S_ISREG(status.st_mode)) throw InputError(cat(path_, ": is not a regular file; remove it"));
  if (status.st_nlink > 1) {
    throw InputError(cat(path_, ": is a file with ", status.st_nlink,
                         " names (hard links), and appending to it would change all of them; put a copy in its place"));
  }
  bytes_ = std::min<int64_t>(keep, status.st_size);
  if (bytes_ < status.st_size && uninterrupted([&] { return ::ftruncate(file_.get(), bytes_); }) != 0) {
    throw system_failure(path_, cat("cannot be cut to ", bytes_, " bytes"));
  }
}

void AppendFile::append(std::string_view bytes) {
  try {
    file_.write(bytes.data(), bytes.size(), path_);
  } catch (const SystemError&) {
    // The error that is thrown is the first one.
    [[maybe_unused]] const int ignored = uninterrupted([&] { return ::ftruncate(file_.get(), bytes_); });
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
  if (uninterrupted([&] { return ::fsync(file_.get()); }) != 0)
    throw system_failure(path_, "cannot be synced to disk", kWriteAdvice);
}

}  // namespace kdef
