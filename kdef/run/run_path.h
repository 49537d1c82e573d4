// What stands where a user says there is a run: a run directory, or a model file made of one.
#pragma once

#include <string>

namespace kdef {

/// Whether the path is that of a file; what is not a model file is refused when it is opened. False: of a folder.
/// Throws InputError where there is neither, as for a pipe, which would never end.
bool is_file_of_run(const std::string& path);

/// Throws InputError unless the path is that of a folder whose files of a run, as far as they are there, are regular.
/// The message tells a model file from other files, and says where its run is. `expected` ends the message where
/// nothing is there: "a run directory of kdef train".
void check_is_directory(const std::string& path, const std::string& expected = "a run directory of kdef train");

/// Throws InputError unless the directory is such a one, and has the files that predict.
void check_has_model(const std::string& directory);

/// Whether a regular file begins as a model file does. Cannot fail.
bool begins_as_model_file(const std::string& path);

}  // namespace kdef
