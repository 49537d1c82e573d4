#include "core/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/io/beside.h"

namespace kdef {
AtomicFile::AtomicFile(const std::string& path, NamedBy named_by) : path_(path) {
  if (path.empty()) throw InputError("the name of a file to write is empty");
  struct stat there {};
  const bool by_user = named_by == NamedBy::user;
  bool replaces = (by_user ? ::stat : ::lstat)(path.c_str(), &there) == 0;
  if (replaces && S_ISDIR(there.st_mode)) throw InputError(cat(path, ": is a folder; name a file"));
  if (replaces && !S_ISREG(there.st_mode)) {
    if (by_user) {
      file_ = Descriptor(uninterrupted([&] { return ::open(path.c_str(), O_WRONLY | O_CLOEXEC); }));
      if (!file_.is_open()) throw system_failure(path, "cannot be written");
      return;
    }
    replaces = false;  // a link or a pipe gives its name to the new file
  }
  if (replaces && by_user) {
    if (char* target = ::realpath(path.c_str(), nullptr)) {
      path_ = target;
      std::free(target);
    }
  }
  remove_leftovers(path_);
  const mode_t mode = replaces ? there.st_mode & 0777 : 0666;
  file_ = make_beside(path_, temporary_,
                      [&](const char* name) { return ::open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode); });
  if (!file_.is_open()) {
    temporary_.clear();
    throw system_failure(path, "cannot be written");
  }
  // open() applied the umask.
  if (replaces && uninterrupted([&] { return ::fchmod(file_.get(), mode); }) != 0) {
    const SystemError failure = system_failure(path, "its permissions cannot be kept");
    ::unlink(temporary_.c_str());
    throw SystemError(failure);
  }
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  constexpr size_t kLargeWrite = size_t{1} << 20;
  file_.write(data, bytes, path_);
  if (temporary_.empty() || bytes < kLargeWrite) return;
  // The disk begins now, so that the fsync of commit() has little to wait for. Only that fsync promises anything: a
  // file system that does not know this call loses nothing but time.
  const off_t end = ::lseek(file_.get(), 0, SEEK_CUR), size = static_cast<off_t>(bytes);
  if (end >= size) ::sync_file_range(file_.get(), end - size, size, SYNC_FILE_RANGE_WRITE);
}

void AtomicFile::commit() {
  if (!temporary_.empty() && uninterrupted([&] { return ::fsync(file_.get()); }) != 0) {
    throw system_failure(path_, "cannot be synced to disk", kWriteAdvice);
  }
  if (!file_.close()) throw system_failure(path_, "cannot be closed", kWriteAdvice);
  if (temporary_.empty()) return;
  if (uninterrupted([&] { return ::rename(temporary_.c_str(), path_.c_str()); }) != 0) {
    throw system_failure(path_, "cannot be renamed into place", kWriteAdvice);
  }
  temporary_.clear();
  sync_folder_of(path_);
}

void make_directories(const std::string& path, const std::string& advice) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return;
  for (std::filesystem::path part = path; part.has_relative_path(); part = part.parent_path()) {
    std::error_code unknown;
    if (!std::filesystem::exists(part, unknown)) continue;
    if (std::filesystem::is_directory(part, unknown)) break;
    throw InputError(cat(part.string(), ": is a file, where a folder is to be made",
                         part == path ? "" : cat(" for ", path), advice.empty() ? "; give another place" : advice));
  }
  throw SystemError(cat(path, ": the folder cannot be made: ", error.message(), advice));
}

void refuse_link(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) {
    throw InputError(
        cat(path,
            ": is a symbolic link, and nothing is written through a link in a folder of kdef, since it may "
            "lead elsewhere; put in its place what it leads to"));
  }
}

void make_subfolder(const std::string& path) {
  refuse_link(path);
  make_directories(path);
}

void refuse_to_replace(const std::string& folder, const std::vector<std::string>& names, const std::string& advice) {
  std::vector<std::string> found;
  for (const std::string& name : names) {
    struct stat status {};
    if (::lstat((folder + "/" + name).c_str(), &status) == 0) found.push_back(name);
  }
  if (!found.empty()) throw InputError(cat(folder, ": already has ", joined(found), advice));
}

void rename_file(const std::string& from, const std::string& to) {
  if (uninterrupted([&] { return ::rename(from.c_str(), to.c_str()); }) != 0) {
    throw system_failure(to, "cannot be replaced");
  }
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

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry, end;
  do {
    entry = std::filesystem::directory_iterator(folder, error);
  } while (error == std::errc::interrupted);
  for (; !error && entry != end; entry.increment(error)) names.push_back(entry->path().filename().string());
  if (error) throw SystemError(cat(folder, ": cannot be read: ", error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

bool exists(const std::string& path) {
  struct stat status {};
  if (uninterrupted([&] { return ::stat(path.c_str(), &status); }) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG || errno == ELOOP) return false;
  throw system_failure(path, "cannot be found");
}

void write_file(const std::string& path, const std::string& text, NamedBy named_by) {
  AtomicFile file(path, named_by);
  file.write(text.data(), text.size());
  file.commit();
}

}  // namespace kdef
