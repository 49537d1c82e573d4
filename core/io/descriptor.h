// An open file of the system. The other files of this room are built on it; elsewhere take one of them.
#pragma once

#include <cerrno>
#include <cstddef>
#include <string>

#include "core/base/error.h"

namespace kdef {

/// Owns a file descriptor and closes it. Movable; the moved-from object is closed.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  /// Closes now. Returns false, with errno set, where the system reports that something was not written.
  bool close();

  /// Writes all bytes. Throws SystemError "PATH: cannot be written: REASON; ADVICE".
  void write(const void* data, size_t bytes, const std::string& path) const;
  /// Reads up to `bytes` bytes and returns their number, which is smaller only at the end of the file. SystemError.
  size_t read(void* data, size_t bytes, const std::string& path) const;

 private:
  int fd_ = -1;
};

/// Repeats a system call that returns -1 where it fails, as long as a signal interrupts it.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

/// Opens an existing file for reading. Throws InputError where there is no such file, SystemError where the system
/// refuses. `advice` ends the message of a missing file: "; prepare the data first".
Descriptor open_to_read(const std::string& path, const std::string& advice = "");

/// The same for what can only be a regular file: a folder, a pipe, a socket or a device is an InputError. Does not
/// wait, as opening a pipe does that nobody writes into.
Descriptor open_regular(const std::string& path, const std::string& advice = "");
/// Throws this InputError, too, and opens nothing; a name that nothing has is fine.
void check_regular(const std::string& path, const std::string& advice = "");

/// The error to throw after a system call failed: "PATH: WHAT: REASON", then `advice`. The reason is that of errno.
SystemError system_failure(const std::string& path, const std::string& what, const std::string& advice = "");

/// Ends a message about a write that failed.
inline constexpr const char* kWriteAdvice = "; free space or choose another folder";

}  // namespace kdef
