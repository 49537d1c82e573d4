#include "core/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/base/error.h"

namespace kdef {
namespace {

// Tables of the reflected polynomial 0xEDB88320; eight bytes a step ("slicing by 8", Kounavis, Berry 2005).
const auto kCrcTables = [] {
  std::array<std::array<uint32_t, 256>, 8> t{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
    t[0][i] = c;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t i = 0; i < 256; ++i) t[k][i] = t[0][t[k - 1][i] & 0xFF] ^ (t[k - 1][i] >> 8);
  }
  return t;
}();

// A rename is on disk once its folder is. Not every file system can do that; the rename stands either way.
void sync_folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

constexpr const char* kPart = ".part-";  // between the name of a file and six letters: its temporary name

}  // namespace

uint32_t crc32(const void* data, size_t bytes, uint32_t before) {
  const unsigned char* p = static_cast<const unsigned char*>(data);
  uint32_t c = ~before;
  for (; bytes >= 8; bytes -= 8, p += 8) {
    uint32_t low = 0, high = 0;
    std::memcpy(&low, p, 4);
    std::memcpy(&high, p + 4, 4);
    low ^= c;
    c = kCrcTables[7][low & 0xFF] ^ kCrcTables[6][(low >> 8) & 0xFF] ^ kCrcTables[5][(low >> 16) & 0xFF] ^
        kCrcTables[4][low >> 24] ^ kCrcTables[3][high & 0xFF] ^ kCrcTables[2][(high >> 8) & 0xFF] ^
        kCrcTables[1][(high >> 16) & 0xFF] ^ kCrcTables[0][high >> 24];
  }
  for (; bytes > 0; --bytes, ++p) c = kCrcTables[0][(c ^ *p) & 0xFF] ^ (c >> 8);
  return ~c;
}

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  if (path.empty()) throw InputError("the name of a file to write is empty");
  struct stat there {};
  if (::stat(path.c_str(), &there) == 0) {
    if (S_ISDIR(there.st_mode)) throw InputError(cat(path, ": is a folder; name a file"));
    if (!S_ISREG(there.st_mode)) {
      fd_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
      if (fd_ < 0) throw SystemError(cat(path, ": cannot be written: ", std::strerror(errno)));
      return;
    }
    if (char* target = ::realpath(path.c_str(), nullptr)) {
      path_ = target;
      std::free(target);
    }
  }
  temporary_ = path_ + kPart + "XXXXXX";
  fd_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  if (fd_ < 0) throw SystemError(cat(path, ": cannot be written: ", std::strerror(errno)));
  ::fchmod(fd_, 0644);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(const char* what) {
  throw SystemError(cat(path_, ": ", what, ": ", std::strerror(errno), "; free space or choose another folder"));
}

void AtomicFile::write(const void* data, size_t bytes) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(fd_, p, std::min(bytes, size_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("cannot be written");
    p += n;
    bytes -= static_cast<size_t>(n);
  }
}

void AtomicFile::commit() {
  if (!temporary_.empty() && ::fsync(fd_) != 0) fail("cannot be synced to disk");
  if (::close(std::exchange(fd_, -1)) != 0) {
    const int error = errno;
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    errno = error;
    fail("cannot be closed");
  }
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    errno = error;
    fail("cannot be renamed into place");
  }
  sync_folder_of(path_);
}

void make_directories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw SystemError(cat(path, ": cannot be made: ", error.message()));
}

void rename_file(const std::string& from, const std::string& to) {
  std::error_code error;
  std::filesystem::rename(from, to, error);
  if (error) throw SystemError(cat(to, ": cannot be replaced: ", error.message()));
  sync_folder_of(to);
}

bool exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

void remove_leftovers(const std::string& path) {
  const std::filesystem::path file(path);
  const std::string prefix = file.filename().string() + kPart;
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator(file.has_parent_path() ? file.parent_path() : ".", ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && name.size() == prefix.size() + 6) std::filesystem::remove(entry, ignored);
  }
}

void write_file(const std::string& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

}  // namespace kdef
