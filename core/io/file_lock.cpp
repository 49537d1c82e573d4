#include "core/io/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <thread>
#include <vector>

#include "core/base/error.h"

namespace kdef {
namespace {

constexpr std::chrono::milliseconds kBetweenTries{100};

// flock(2) over NFS needs a descriptor that can write, which a folder cannot have. A link to a missing file makes no
// file elsewhere: what lies behind a link is only opened to read.
Descriptor open_to_lock(const std::string& path) {
  int fd = uninterrupted([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666); });
  if (fd < 0 && (errno == EISDIR || errno == EACCES || errno == EROFS || errno == ELOOP)) {
    fd = uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  }
  if (fd < 0) throw system_failure(path, "cannot be locked", "; choose a folder that can be written");
  return Descriptor(fd);
}

}  // namespace

bool FileLock::take(const std::string& path) {
  if (!file_.is_open()) file_ = open_to_lock(path);
  int status = 0;
  do status = ::flock(file_.get(), LOCK_EX | LOCK_NB);
  while (status != 0 && errno == EINTR);
  held_ = status == 0;
  return held_ || errno != EWOULDBLOCK;
}

FileLock::FileLock(const std::string& path, const Waiting& waiting) {
  while (!take(path)) {
    if (waiting) waiting(holder_of(path));
    std::this_thread::sleep_for(kBetweenTries);
  }
}

std::optional<FileLock> FileLock::try_lock(const std::string& path) {
  FileLock lock;
  if (!lock.take(path)) return std::nullopt;
  return lock;
}

bool FileLock::is_taken(const std::string& path) {
  const Descriptor file(uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  return file.is_open() && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

// A line of /proc/locks: "1: FLOCK  ADVISORY  WRITE 1234 08:01:131 0 EOF"; major and minor are hexadecimal.
std::string holder_of(const std::string& path) {
  struct stat status {};
  std::ifstream locks("/proc/locks");
  if (::stat(path.c_str(), &status) == 0) {
    char wanted[64];
    std::snprintf(wanted, sizeof wanted, "%02x:%02x:%llu", major(status.st_dev), minor(status.st_dev),
                  static_cast<unsigned long long>(status.st_ino));
    for (std::string line; std::getline(locks, line);) {
      std::vector<std::string> words = split(line, ' ');
      std::erase(words, "");
      if (words.size() < 6 || words[1] != "FLOCK" || words[5] != wanted || words[4] == "0") continue;
      const std::string& process = words[4];
      std::string name;
      std::getline(std::ifstream("/proc/" + process + "/comm"), name);
      return "process " + process + (name.empty() ? "" : " (" + name + ")");
    }
  }
  return "another process";
}

}  // namespace kdef
