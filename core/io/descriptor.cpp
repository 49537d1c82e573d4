#include "core/io/descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/base/error.h"

namespace kdef {
namespace {
constexpr size_t kLargestCall = size_t{1} << 30;  // Linux moves at most 2 GiB in one call

// " in FOLDER", where a relative path starts; nothing for another path.
std::string start_of_relative(const std::string& path) {
  std::error_code unknown;
  if (path.empty() || path[0] == '/') return "";
  const std::string folder = std::filesystem::current_path(unknown).string();
  return unknown ? "" : " in " + folder;
}

Descriptor open_with(int flags, const std::string& path, const std::string& advice) {
  const int fd = uninterrupted([&] { return ::open(path.c_str(), flags | O_RDONLY | O_CLOEXEC); });
  if (fd >= 0) return Descriptor(fd);
  if (errno == ENOENT || errno == ENOTDIR) {
    const std::string why = std::strerror(errno);
    throw InputError(cat(path, ": cannot be opened: ", why, start_of_relative(path), advice));
  }
  throw system_failure(path, "cannot be opened");
}

void refuse_irregular(mode_t mode, const std::string& path, const std::string& advice) {
  if (S_ISREG(mode)) return;
  const char* what = S_ISDIR(mode) ? "a folder" : S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
  throw InputError(cat(path, ": is ", what, ", not a regular file", advice));
}
}  // namespace

Descriptor::~Descriptor() { close(); }

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

// Linux has closed the descriptor even where a signal interrupted the call.
bool Descriptor::close() { return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0 || errno == EINTR; }

void Descriptor::write(const void* data, size_t bytes, const std::string& path) const {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(fd_, p, std::min(bytes, kLargestCall));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = ENOSPC;
    if (n <= 0) throw system_failure(path, "cannot be written", kWriteAdvice);
    p += n;
    bytes -= static_cast<size_t>(n);
  }
}

size_t Descriptor::read(void* data, size_t bytes, const std::string& path) const {
  char* p = static_cast<char*>(data);
  size_t done = 0;
  while (done < bytes) {
    const ssize_t n = ::read(fd_, p + done, std::min(bytes - done, kLargestCall));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw system_failure(path, "cannot be read");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

Descriptor open_to_read(const std::string& path, const std::string& advice) { return open_with(0, path, advice); }

Descriptor open_regular(const std::string& path, const std::string& advice) {
  Descriptor file = open_with(O_NONBLOCK, path, advice);  // has no effect on a regular file
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw system_failure(path, "cannot be read");
  refuse_irregular(status.st_mode, path, advice);
  return file;
}

void check_regular(const std::string& path, const std::string& advice) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) refuse_irregular(status.st_mode, path, advice);
}

SystemError system_failure(const std::string& path, const std::string& what, const std::string& advice) {
  return SystemError(cat(path, ": ", what, ": ", std::strerror(errno), advice));
}

}  // namespace kdef
