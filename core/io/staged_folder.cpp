#include "core/io/staged_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <system_error>
#include <vector>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/io/beside.h"
#include "core/io/file.h"

namespace kdef {
namespace {

namespace fs = std::filesystem;
constexpr const char* kAdvice = "; give the name of a new or empty folder";

// Refuses what cannot be replaced by a folder without losing something.
void check_empty(const std::string& path) {
  if (!fs::is_directory(path)) throw InputError(cat(path, ": is not a folder", kAdvice));
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (names.size() == 3) {
      names.push_back("..");
      break;
    }
    names.push_back(entry.path().filename().string());
  }
  if (!names.empty()) throw InputError(cat(path, ": is not empty: it has ", joined(names), kAdvice));
  std::error_code ignored;
  if (fs::equivalent(path, fs::current_path(ignored), ignored)) {
    throw InputError(cat(path, ": is the current folder, which is not replaced", kAdvice));
  }
}

}  // namespace

StagedFolder::StagedFolder(const std::string& path) {
  if (path.empty()) throw InputError("the name of the folder to write is empty");
  try {
    struct stat there {};
    const bool replaces = exists(path);
    path_ = (replaces ? fs::canonical(path) : fs::absolute(path).lexically_normal()).string();
    if (path_.size() > 1 && path_.back() == '/') path_.pop_back();
    if (replaces) check_empty(path);
    make_directories(fs::path(path_).parent_path().string());
    remove_leftovers(path_);
    const mode_t mode = replaces && ::stat(path_.c_str(), &there) == 0 ? there.st_mode & 0777 : 0777;
    folder_ = make_folder_beside(path_, temporary_, mode);
    if (!folder_.is_open()) {
      temporary_.clear();
      throw system_failure(path, "the folder cannot be made", kWriteAdvice);
    }
    if (replaces && uninterrupted([&] { return ::fchmod(folder_.get(), mode); }) != 0) {
      const SystemError failure = system_failure(path, "its permissions cannot be kept");
      ::rmdir(temporary_.c_str());
      throw SystemError(failure);
    }
  } catch (const fs::filesystem_error& e) {
    throw SystemError(cat(path, ": the folder cannot be made: ", e.code().message(), kWriteAdvice));
  }
}

StagedFolder::~StagedFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
}

void StagedFolder::commit() {
  sync_folder(folder_, path_);  // the files in it are synced by their writers
  if (uninterrupted([&] { return ::rename(temporary_.c_str(), path_.c_str()); }) != 0) {
    throw system_failure(path_, "the folder cannot be renamed into place", kAdvice);
  }
  temporary_.clear();
  sync_folder_of(path_);
}

}  // namespace kdef
