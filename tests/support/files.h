// Files of tests.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "core/io/temporary_folder.h"

namespace kdef::test {

/// A folder for the files of one test.
class TemporaryDirectory : public TemporaryFolder {
 public:
  TemporaryDirectory() : TemporaryFolder(std::filesystem::temp_directory_path().string()) {}
};

/// The bytes of a file; "" where there is none.
inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Writes a file as it is, without the care of kdef::write_file(), and returns its path.
inline std::string put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  return path;
}

}  // namespace kdef::test
