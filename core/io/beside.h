// Temporary names beside the final one: PATH.part-abcdef. The writer holds a lock on what has such a name, so that
// others can tell what a killed writer left. Private to core/io.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "core/io/descriptor.h"

namespace kdef {

/// Makes a file or folder with a temporary name beside `path`, and locks it. `make` makes the name and returns its open
/// descriptor, or -1 with errno set; EEXIST asks for another name. Returns a closed Descriptor where that fails.
Descriptor make_beside(const std::string& path, std::string& name, const std::function<int(const char* name)>& make);

/// Does the same with a folder of the permissions `mode`, less the process's umask.
Descriptor make_folder_beside(const std::string& path, std::string& name, mode_t mode);

/// Syncs an open folder. Not every file system can; where it can and fails, SystemError names `path`.
void sync_folder(const Descriptor& folder, const std::string& path);

/// Syncs the folder of `path`: a rename is on disk once its folder is. The rename stands where this fails.
void sync_folder_of(const std::string& path);

}  // namespace kdef
