#include "core/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>

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

// A rename is on disk once its folder is. Not every file system can sync a folder; the rename stands either way.
void sync_folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const Descriptor opened(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.is_open()) ::fsync(opened.get());
}

constexpr const char* kPart = ".part-";  // stands between the name of a file and the letters of its temporary name
constexpr size_t kLetters = 6;

// Makes a file beside `path` that did not exist before, with the permissions `mode` less the process's umask, which
// mkstemp() does not follow. Its name comes back in `name`.
Descriptor make_beside(const std::string& path, mode_t mode, std::string& name) {
  std::random_device random;
  for (int tries = 0; tries < 100; ++tries) {
    name = path + kPart;
    for (size_t i = 0; i < kLetters; ++i) name += static_cast<char>('a' + random() % 26);
    const int fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd >= 0 || errno != EEXIST) return Descriptor(fd);
  }
  return {};
}

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
  const bool replaces = ::stat(path.c_str(), &there) == 0;
  if (replaces) {
    if (S_ISDIR(there.st_mode)) throw InputError(cat(path, ": is a folder; name a file"));
    if (!S_ISREG(there.st_mode)) {
      file_ = Descriptor(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
      if (!file_.is_open()) throw system_failure(path, "cannot be written");
      return;
    }
    if (char* target = ::realpath(path.c_str(), nullptr)) {
      path_ = target;
      std::free(target);
    }
  }
  const mode_t mode = replaces ? there.st_mode & 0777 : 0666;
  file_ = make_beside(path_, mode, temporary_);
  if (!file_.is_open()) {
    temporary_.clear();
    throw system_failure(path, "cannot be written");
  }
  if (replaces) ::fchmod(file_.get(), mode);  // open() applied the umask
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) { file_.write(data, bytes, path_); }

void AtomicFile::commit() {
  if (!temporary_.empty() && ::fsync(file_.get()) != 0) {
    throw system_failure(path_, "cannot be synced to disk", kWriteAdvice);
  }
  if (!file_.close()) throw system_failure(path_, "cannot be closed", kWriteAdvice);
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    throw system_failure(path_, "cannot be renamed into place", kWriteAdvice);
  }
  temporary_.clear();
  sync_folder_of(path_);
}

void make_directories(const std::string& path, const std::string& advice) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw SystemError(cat(path, ": the folder cannot be made: ", error.message(), advice));
}

void rename_file(const std::string& from, const std::string& to) {
  std::error_code error;
  std::filesystem::rename(from, to, error);
  if (error) throw SystemError(cat(to, ": cannot be replaced: ", error.message()));
  sync_folder_of(to);
}

void remove_file(const std::string& path) {
  std::error_code error;
  std::filesystem::remove(path, error);
  if (error) throw SystemError(cat(path, ": cannot be removed: ", error.message()));
}

void remove_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) throw SystemError(cat(path, ": cannot be removed: ", error.message()));
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
    if (name.starts_with(prefix) && name.size() == prefix.size() + kLetters) std::filesystem::remove(entry, ignored);
  }
}

void write_file(const std::string& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

}  // namespace kdef
