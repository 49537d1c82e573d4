#include "kdef/run/run_path.h"

#include <filesystem>

#include "core/base/error.h"
#include "core/io/file.h"
#include "kdef/run/model_file.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

// InputError or SystemError where nothing is there.
void check_is_there(const std::string& path, const std::string& expected) {
  if (path.empty()) throw InputError(cat("the name of a run is empty; give ", expected));
  if (!exists(path)) open_to_read(path, cat("; give ", expected));
}

bool is_folder(const std::string& path) {
  std::error_code unknown;
  return std::filesystem::is_directory(path, unknown);
}

}  // namespace

bool is_file_of_run(const std::string& path) {
  const std::string expected = "a run directory of kdef train, or a file of kdef export --out FILE.kdef";
  check_is_there(path, expected);
  if (is_folder(path)) return false;
  check_regular(path, cat("; give ", expected));
  return true;
}

bool begins_as_model_file(const std::string& path) try {
  char head[ModelFile::kMagic.size()];
  const size_t bytes = open_regular(path).read(head, sizeof head, path);
  return std::string_view(head, bytes) == ModelFile::kMagic;
} catch (const Error&) {
  return false;
}

void check_is_directory(const std::string& path, const std::string& expected) {
  check_is_there(path, expected);
  if (!is_folder(path)) {
    check_regular(path, cat("; give ", expected));
    throw InputError(cat(path, begins_as_model_file(path)
                                   ? ": is a model file, which predicts, and holds no training and no record of one; "
                                     "give the run directory that it was exported from"
                                   : cat(": is a file; give ", expected)));
  }
  for (const std::string& file : RunFiles(path).all()) check_regular(file);
}

void check_has_model(const std::string& directory) {
  check_is_directory(directory);
  const RunFiles files(directory);
  for (const std::string& file : files.to_predict()) {
    if (!exists(file)) {
      throw InputError(
          cat(directory, ": is not the directory of a run with a trained model: it has no ", files.name(file)));
    }
  }
}

}  // namespace kdef
