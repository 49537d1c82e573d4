#include "core/io/temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/io/support.h"

namespace kdef {
namespace {

using TemporaryFolderTest = test::Files;

TEST_F(TemporaryFolderTest, IsEmptyAndGoneWithItsContent) {
  std::string path;
  {
    const TemporaryFolder one(folder_), other(folder_);
    path = one.path();
    EXPECT_NE(other.path(), path);
    EXPECT_TRUE(std::filesystem::is_empty(path));
    test::put(one / "a", "text");
    EXPECT_EQ(test::read_file(path + "/a"), "text");
    EXPECT_EQ(files(), 2u);
  }
  EXPECT_EQ(files(), 0u);
  EXPECT_THAT(message<SystemError>([&] { TemporaryFolder{folder_ + "/no"}; }),
              testing::HasSubstr("/no: no folder can be made"));
}

}  // namespace
}  // namespace kdef
