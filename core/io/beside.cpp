#include "core/io/beside.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <random>
#include <string_view>

#include "core/io/file.h"

namespace kdef {
namespace {

constexpr const char* kPart = ".part-";
constexpr size_t kLetters = 6;

bool is_part(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix) || name.size() != prefix.size() + kLetters) return false;
  // Earlier versions used digits and capital letters, too.
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", prefix.size()) ==
         std::string_view::npos;
}

bool lock(int fd) {
  return uninterrupted([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }) == 0;
}

}  // namespace

Descriptor make_beside(const std::string& path, std::string& name, const std::function<int(const char*)>& make) {
  std::random_device random;
  for (int tries = 0; tries < 100; ++tries) {
    name = path + kPart;
    for (size_t i = 0; i < kLetters; ++i) name += static_cast<char>('a' + random() % 26);
    Descriptor made(uninterrupted([&] { return make(name.c_str()); }));
    if (!made.is_open() && errno == EEXIST) continue;
    if (!made.is_open()) return {};
    // Another process may have taken it for a leftover before it was locked.
    lock(made.get());
    struct stat status {};
    if (::fstat(made.get(), &status) != 0 || status.st_nlink > 0) return made;
  }
  return {};
}

Descriptor make_folder_beside(const std::string& path, std::string& name, mode_t mode) {
  return make_beside(path, name, [&](const char* folder) {
    return ::mkdir(folder, mode) == 0 ? ::open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  });
}

void sync_folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const Descriptor opened(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.is_open()) ::fsync(opened.get());
}

void remove_leftovers(const std::string& path) {
  const std::filesystem::path file(path);
  const std::string prefix = file.filename().string() + kPart;
  std::error_code ignored;
  std::filesystem::directory_iterator entry(file.has_parent_path() ? file.parent_path() : ".", ignored), end;
  for (; !ignored && entry != end; entry.increment(ignored)) {
    if (!is_part(entry->path().filename().string(), prefix)) continue;
    const Descriptor part(::open(entry->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    std::error_code kept;
    if (part.is_open() && lock(part.get())) std::filesystem::remove_all(entry->path(), kept);
  }
}

}  // namespace kdef
