// What the tests of data/ share.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "core/base/error.h"
#include "data/schema.h"
#include "tests/support/files.h"

namespace kdef::data {

using test::read_file;

/// A folder that is gone when the test ends.
class TemporaryFolder : public test::TemporaryDirectory {
 public:
  /// Writes a file and returns its path.
  std::string file(const std::string& name, const std::string& content) const {
    return test::put(*this / name, content);
  }
};

inline FieldConfig field(const std::string& name, FieldType type = FieldType::categorical,
                         CellType cell = CellType::str) {
  FieldConfig f;
  f.name = name;
  f.type = type;
  f.cell = cell;
  f.where = "dataset_config.yaml:1:1";
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
