// Locks between processes.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/io/descriptor.h"

namespace kdef {

/// An exclusive lock on a file or folder (flock(2)): one process, and in it one FileLock, holds it at a time. It ends
/// with this object, or with the process however that ends. The lock is advice to those who ask for it, reading and
/// writing stay possible. A file that is missing is made, empty, and stays: removing it would let two holders in.
/// Throws SystemError with the path where the file cannot be opened.
class FileLock {
 public:
  /// Called while another holds the lock, at once and then about ten times a second. `holder` says who holds it:
  /// "process 1234 (kdef)", or "another process" where the system does not tell. What it throws ends the wait: a
  /// request to stop is heard here.
  using Waiting = std::function<void(const std::string& holder)>;

  /// Takes the lock, or waits until it is free.
  explicit FileLock(const std::string& path, const Waiting& waiting = {});
  /// Takes the lock, or returns nothing if another holds it. holder_of() tells who.
  static std::optional<FileLock> try_lock(const std::string& path);

  /// Whether another object or process holds the lock now. It is not waited for, and nothing is made or written; false
  /// where this cannot be found out. A try_lock() in the very moment of the question may fail by it.
  static bool is_taken(const std::string& path);

  /// False where the file system knows no locks: nothing is held, and nothing can be. The caller decides what to do.
  bool held() const { return held_; }

 private:
  FileLock() = default;
  bool take(const std::string& path);  // false: another holds it

  Descriptor file_;
  bool held_ = false;
};

/// Who holds the lock on `path`: "process 1234 (kdef)", or "another process" where the system does not tell.
std::string holder_of(const std::string& path);

}  // namespace kdef
