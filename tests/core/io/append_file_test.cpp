#include "core/io/append_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "tests/core/io/support.h"

namespace kdef {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using AppendFileTest = test::Files;

TEST_F(AppendFileTest, GrowsByLinesAndIsCutWhenOpened) {
  {
    AppendFile log(path_);
    EXPECT_EQ(log.bytes(), 0);
    log.append_line("one");
    log.append_line("two");
    log.sync();
    EXPECT_EQ(log.bytes(), 8);
  }
  EXPECT_EQ(test::read_file(path_), "one\ntwo\n");
  {
    AppendFile log(path_, 4);
    EXPECT_EQ(log.bytes(), 4);
    log.append("2");
  }
  EXPECT_EQ(test::read_file(path_), "one\n2");
  EXPECT_EQ(AppendFile(path_, 100).bytes(), 5);
  EXPECT_EQ(AppendFile(path_, 0).bytes(), 0);
  EXPECT_EQ(test::read_file(path_), "");
}

TEST_F(AppendFileTest, ALineThatDoesNotFitLeavesNothingBehind) {
  AppendFile log(path_);
  log.append_line("one");
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{10, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  // The system writes the 6 bytes that fit, then refuses.
  const std::string failure = message<SystemError>([&] { log.append_line("much too long a line"); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(failure, StartsWith(path_ + ": cannot be written: "));
  EXPECT_EQ(test::read_file(path_), "one\n");
  EXPECT_EQ(log.bytes(), 4);
  log.append_line("two");
  EXPECT_EQ(test::read_file(path_), "one\ntwo\n");
}

TEST_F(AppendFileTest, AnotherFileIsNotWrittenThroughALink) {
  const std::string victim = directory_ / "victim";
  test::put(victim, "precious");
  std::filesystem::create_symlink("victim", path_);
  EXPECT_THAT(message<InputError>([&] { AppendFile(path_, 0); }), StartsWith(path_ + ": is a symbolic link"));
  std::filesystem::remove(path_);
  std::filesystem::create_hard_link(victim, path_);
  EXPECT_THAT(message<InputError>([&] { AppendFile(path_, 0); }), HasSubstr("2 names (hard links)"));
  EXPECT_EQ(test::read_file(victim), "precious");
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(message<Error>([&] { AppendFile{path_}; }), StartsWith(path_ + ": "));
}

TEST_F(AppendFileTest, FailuresNameThePath) {
  EXPECT_THAT(message<SystemError>([&] { AppendFile{folder_}; }), StartsWith(folder_ + ": cannot be written: Is a"));
  EXPECT_THAT(message<SystemError>([&] { AppendFile{folder_ + "/no/x"}; }), HasSubstr("/no/x: cannot be written"));
}

}  // namespace
}  // namespace kdef
