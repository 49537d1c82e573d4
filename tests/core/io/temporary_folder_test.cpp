#include "core/io/temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "core/io/file.h"
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

// Between the making of a folder and its lock, another process may take it for one that a killed process left.
TEST_F(TemporaryFolderTest, OthersWhoRemoveLeftoversDoNotTakeAFreshOne) {
  std::atomic<bool> done{false};
  std::vector<std::thread> removers;
  for (int i = 0; i < 3; ++i) {
    removers.emplace_back([&] {
      while (!done) remove_leftovers(folder_ + "/kdef.temporary");
    });
  }
  int lost = 0;
  std::string failure;
  for (int i = 0; i < 500; ++i) {
    try {
      const TemporaryFolder one(folder_);
      lost += !std::filesystem::exists(one.path());
    } catch (const SystemError& e) {
      failure = e.what();
      ++lost;
    }
  }
  done = true;
  for (std::thread& t : removers) t.join();
  EXPECT_EQ(lost, 0) << failure;
}

}  // namespace
}  // namespace kdef
