// What the tests of data/ share.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "core/base/error.h"
#include "data/schema.h"

namespace kdef::data {

/// A folder that is gone when the test ends.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "kdef_data_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw SystemError("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }
  /// Writes a file and returns its path.
  std::string file(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return *this / name;
  }

 private:
  std::filesystem::path path_;
};

inline std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline FieldConfig field(const std::string& name, FieldType type = FieldType::categorical,
                         CellType cell = CellType::str) {
  FieldConfig f;
  f.name = name;
  f.type = type;
  f.cell = cell;
  return f;
}

/// Expects that `statement` throws an E whose message holds every one of the parts.
template <class E, class Fn>
void expect_error(Fn&& statement, std::initializer_list<std::string> parts) {
  try {
    statement();
    ADD_FAILURE() << "no error";
  } catch (const E& e) {
    const std::string message = e.what();
    for (const std::string& part : parts) {
      EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' is not in: " << message;
    }
  }
}

/// Data that must not be copied into the project lies beside it, or not at all.
inline std::string shared_data(const std::string& name) {
  return std::string(KDEF_SOURCE_DIR) + "/../shared/data/" + name;
}

}  // namespace kdef::data
