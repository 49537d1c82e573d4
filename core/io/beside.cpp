#include "core/io/beside.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <random>
#include <string_view>

#include "core/base/text.h"
#include "core/io/file.h"

namespace kdef {
namespace {

constexpr std::string_view kPart = ".part-";
constexpr size_t kLetters = 6;
constexpr int kOpenFolder = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

bool lock(int fd) {
  return uninterrupted([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }) == 0;
}

}  // namespace

std::string final_name(const std::string& name) {
  const size_t end = name.size() - std::min(name.size(), kPart.size() + kLetters);
  const std::string_view part = std::string_view(name).substr(end);
  // Earlier versions used digits and capital letters, too.
  constexpr const char* kCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  const bool is_part = part.size() == kPart.size() + kLetters && part.starts_with(kPart) &&
                       part.find_first_not_of(kCharacters, kPart.size()) == std::string_view::npos;
  return is_part ? name.substr(0, end) : name;
}

Descriptor make_beside(const std::string& path, std::string& name, const std::function<int(const char*)>& make) {
  std::random_device random;
  for (int tries = 0; tries < 100; ++tries) {
    name = cat(path, kPart);
    for (size_t i = 0; i < kLetters; ++i) name += static_cast<char>('a' + random() % 26);
    Descriptor made(uninterrupted([&] { return make(name.c_str()); }));
    if (!made.is_open() && errno == EEXIST) continue;
    if (!made.is_open()) return {};
    // Another process may take it for a leftover before it is locked: it is gone, or it is locked and will be.
    if (!lock(made.get()) && errno == EWOULDBLOCK) continue;
    struct stat status {};
    if (::fstat(made.get(), &status) != 0 || status.st_nlink > 0) return made;
  }
  return {};
}

Descriptor make_folder_beside(const std::string& path, std::string& name, mode_t mode) {
  return make_beside(path, name, [&](const char* folder) {
    if (::mkdir(folder, mode) != 0) return -1;
    const int fd = uninterrupted([&] { return ::open(folder, kOpenFolder); });
    const int reason = errno;
    if (fd < 0) ::rmdir(folder);
    errno = fd < 0 && reason == ENOENT ? EEXIST : reason;  // taken for a leftover: another name is tried
    return fd;
  });
}

void sync_folder(const Descriptor& folder, const std::string& path) {
  if (uninterrupted([&] { return ::fsync(folder.get()); }) == 0) return;
  // What a file system says that cannot sync a folder.
  for (const int cannot : {EINVAL, ENOTSUP, ENOSYS, EBADF}) {
    if (errno == cannot) return;
  }
  throw system_failure(path, "its folder cannot be synced to disk", kWriteAdvice);
}

void sync_folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const Descriptor opened(uninterrupted([&] { return ::open(folder.empty() ? "." : folder.c_str(), kOpenFolder); }));
  if (opened.is_open()) return sync_folder(opened, path);
  if (errno == EACCES || errno == EPERM) return;  // a folder may be written though it may not be read
  throw system_failure(path, "its folder cannot be synced to disk", kWriteAdvice);
}

void remove_leftovers(const std::string& path) {
  const std::filesystem::path file(path);
  const std::string final = file.filename().string();
  std::error_code ignored;
  std::filesystem::directory_iterator entry(file.has_parent_path() ? file.parent_path() : ".", ignored), end;
  for (; !ignored && entry != end; entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (name == final || final_name(name) != final) continue;
    constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    const Descriptor part(uninterrupted([&] { return ::open(entry->path().c_str(), kFlags); }));
    std::error_code kept;
    if (part.is_open() && lock(part.get())) std::filesystem::remove_all(entry->path(), kept);
  }
}

}  // namespace kdef
