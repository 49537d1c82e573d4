// What the tests of core/io share.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "core/base/error.h"
#include "tests/support/files.h"

namespace kdef::test {

/// A folder, and the path of a file in it that is not there yet.
class Files : public testing::Test {
 protected:
  size_t files() const {
    const std::filesystem::directory_iterator all(folder_);
    return static_cast<size_t>(std::distance(begin(all), end(all)));
  }
  static mode_t mode(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 0777;
  }
  template <class Kind, class Fn>
  static std::string message(Fn&& fn) {
    try {
      fn();
    } catch (const Kind& e) {
      return e.what();
    }
    return "nothing was thrown";
  }

  const TemporaryDirectory directory_;
  const std::string folder_ = directory_.path(), path_ = directory_ / "a.txt";
};

}  // namespace kdef::test
