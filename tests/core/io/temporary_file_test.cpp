#include "core/io/temporary_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/io/support.h"

namespace kdef {
namespace {

using testing::HasSubstr;

using TemporaryFileTest = test::Files;

TEST_F(TemporaryFileTest, GivesBackWhatWasWrittenAndHasNoName) {
  TemporaryFile file(folder_);
  EXPECT_EQ(files(), 0u);
  file.write("hello ", 6);
  file.write("world", 5);
  for (int pass = 0; pass < 2; ++pass) {
    file.rewind();
    char text[12] = {};
    EXPECT_TRUE(file.read(text, 11));
    EXPECT_STREQ(text, "hello world");
    EXPECT_FALSE(file.read(text, 1));
  }
  EXPECT_THAT(message<SystemError>([&] { TemporaryFile{folder_ + "/no"}; }), HasSubstr("/no: no file can be made"));
}

}  // namespace
}  // namespace kdef
