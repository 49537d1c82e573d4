#include "core/io/staged_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "core/io/file.h"
#include "tests/core/io/support.h"

namespace kdef {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

using StagedFolderTest = test::Files;

TEST_F(StagedFolderTest, AppearsAsAWhole) {
  const std::string out = folder_ + "/deep/out/";
  {
    StagedFolder staged(out);
    write_file(staged.path() + "/a", "x");
    EXPECT_FALSE(exists(out));
    staged.commit();
  }
  EXPECT_EQ(test::read_file(out + "a"), "x");
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/deep")) {
    EXPECT_EQ(entry.path().filename(), "out");
  }
}

TEST_F(StagedFolderTest, WithoutACommitNothingIsLeft) {
  {
    const StagedFolder staged(folder_ + "/out");
    write_file(staged.path() + "/a", "x");
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(StagedFolderTest, OnlyAnEmptyFolderIsReplaced) {
  const std::string out = folder_ + "/out";
  make_directories(out);
  ASSERT_EQ(::chmod(out.c_str(), 0750), 0);
  {
    StagedFolder staged(out);
    write_file(staged.path() + "/a", "x");
    staged.commit();
  }
  EXPECT_EQ(mode(out), 0750u);
  for (const char* name : {"b", "c", "d", "e"}) write_file(out + "/" + name, "x");
  EXPECT_THAT(
      message<InputError>([&] { StagedFolder{out}; }),
      AllOf(StartsWith(out + ": is not empty: it has "), EndsWith("..; give the name of a new or empty folder")));
  EXPECT_THAT(message<InputError>([&] { StagedFolder{out + "/a"}; }), HasSubstr("is not a folder"));
  EXPECT_THAT(message<InputError>([&] { StagedFolder{""}; }), HasSubstr("empty"));
  EXPECT_EQ(test::read_file(out + "/a"), "x");
}

TEST_F(StagedFolderTest, TheNextWriterRemovesWhatAKilledOneLeft) {
  const std::string out = folder_ + "/out";
  const pid_t child = ::fork();
  if (child == 0) {
    const StagedFolder staged(out);
    write_file(staged.path() + "/a", "half");
    ::_exit(0);  // no destructor runs
  }
  ::waitpid(child, nullptr, 0);
  ASSERT_EQ(files(), 1u);
  StagedFolder staged(out);
  EXPECT_EQ(files(), 1u);
  remove_leftovers(out);
  EXPECT_EQ(files(), 1u) << "a writer lost its folder";
  staged.commit();
  EXPECT_EQ(files(), 1u);
  EXPECT_TRUE(exists(out));
}

}  // namespace
}  // namespace kdef
