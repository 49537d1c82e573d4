// Files that are replaced as a whole, and what else is done with names of files and folders. Beside it:
//   append_file.h     logs that grow by whole lines
//   file_lock.h       locks between processes
//   mapped_file.h     files mapped into memory
//   staged_folder.h   folders that appear as a whole
//   temporary_file.h  space on disk without a name
// A failure is a SystemError with the path and the system's reason; a name that cannot be meant is an InputError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/io/descriptor.h"

namespace kdef {

/// CRC-32 (ISO-HDLC, the one of zlib), continuing from `before`.
uint32_t crc32(const void* data, size_t bytes, uint32_t before = 0);

/// Who chose the name of a file that is written. A user may name a link, whose target is meant, or a device or pipe,
/// which is written directly. A program that writes names of its own choice into a folder does not follow a link there,
/// which may lead out of the folder: the link itself is replaced.
enum class NamedBy { program, user };

/// A file written under a temporary name in the same folder; commit() syncs it and gives it its name. Without commit()
/// the temporary file is removed, and a file that was there before is untouched. A new file gets the permissions that
/// the process gives its files (umask); a file that is replaced keeps its permissions. A folder or an empty path is an
/// InputError. The constructor removes what killed writers of the same path left (remove_leftovers).
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path, NamedBy named_by = NamedBy::program);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, size_t bytes);
  void commit();

 private:
  std::string path_, temporary_;  // temporary_ is empty for a device or pipe, and after commit()
  Descriptor file_;
};

/// Makes a folder and the folders above it where they are missing. `advice` ends the message of a failure: "; choose
/// another data_root". InputError where a file has one of the names.
void make_directories(const std::string& path, const std::string& advice = "");

/// Makes a folder in an existing folder if it is missing. InputError where the name is that of a symbolic link.
void make_subfolder(const std::string& path);

/// Throws InputError where the last part of the path is a symbolic link, through which nothing shall be written.
void refuse_link(const std::string& path);

/// Throws InputError where `folder` has a file of one of these names; the message lists those files and ends with
/// `advice`: "; give an empty folder".
void refuse_to_replace(const std::string& folder, const std::vector<std::string>& names, const std::string& advice);

/// Gives a file another name in its file system, in place of a file that has this name, and syncs that to disk. The
/// error names the new name.
void rename_file(const std::string& from, const std::string& to);

/// Removes a file; nothing happens if there is none.
void remove_file(const std::string& path);

/// Removes a folder with everything in it; nothing happens if there is none.
void remove_folder(const std::string& path);

/// The sorted names of what is in a folder. SystemError where the system does not tell.
std::vector<std::string> names_in(const std::string& folder);

/// Whether there is a file or folder of that name. SystemError where the system does not tell.
bool exists(const std::string& path);

/// Removes the temporary files and folders that killed writers of `path` left beside it. Those of a writer that still
/// runs are locked, and stay; so do all of them on a file system without locks.
void remove_leftovers(const std::string& path);

/// The name that the writer of a temporary file or folder will give it. Any other name is returned as it is.
std::string final_name(const std::string& name);

/// Writes `text` as the whole file, all or nothing.
void write_file(const std::string& path, const std::string& text, NamedBy named_by = NamedBy::program);

}  // namespace kdef
