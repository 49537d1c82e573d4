#include "core/io/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "core/io/crc32.h"
#include "tests/core/io/support.h"

namespace kdef {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

using AtomicFileTest = test::Files;
using NamesTest = test::Files;

TEST_F(AtomicFileTest, AFileThatWasThereStaysWholeWithoutACommit) {
  write_file(path_, "before");
  {
    AtomicFile file(path_);
    file.write("half", 4);
    EXPECT_EQ(files(), 2u);
  }
  EXPECT_EQ(test::read_file(path_), "before");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, ANewFileFollowsTheUmask) {
  for (const mode_t mask : {022, 027, 077, 002}) {
    const mode_t before = ::umask(mask);
    write_file(path_, "x");
    ::umask(before);
    EXPECT_EQ(mode(path_), 0666 & ~mask);
    std::filesystem::remove(path_);
  }
}

TEST_F(AtomicFileTest, AReplacedFileKeepsItsPermissions) {
  for (const mode_t kept : {0600, 0640, 0664, 0666, 0444}) {
    write_file(path_, "before");
    ASSERT_EQ(::chmod(path_.c_str(), kept), 0);
    write_file(path_, "after");
    EXPECT_EQ(mode(path_), kept);
    EXPECT_EQ(test::read_file(path_), "after");
  }
}

TEST_F(AtomicFileTest, APrivateFileIsPrivateWhileItIsWritten) {
  write_file(path_, "secret");
  ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
  AtomicFile file(path_);
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) EXPECT_EQ(mode(entry.path()), 0600u);
}

TEST_F(AtomicFileTest, TheFileBehindALinkIsReplaced) {
  write_file(path_, "before");
  const std::string link = folder_ + "/link";
  std::filesystem::create_symlink("a.txt", link);
  write_file(link, "after", NamedBy::user);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(test::read_file(path_), "after");
}

TEST_F(AtomicFileTest, ALinkOfTheNameThatAProgramChoseIsReplacedItself) {
  const std::string victim = directory_ / "victim", folder = directory_ / "run";
  write_file(victim, "precious");
  make_directories(folder);
  for (const char* target : {"../victim", "../missing"}) {
    std::filesystem::remove(folder + "/a");
    std::filesystem::create_symlink(target, folder + "/a");
    write_file(folder + "/a", "after");
    EXPECT_FALSE(std::filesystem::is_symlink(folder + "/a"));
    EXPECT_EQ(test::read_file(folder + "/a"), "after");
  }
  EXPECT_EQ(test::read_file(victim), "precious");
  EXPECT_FALSE(exists(directory_ / "missing"));
}

TEST_F(NamesTest, ASubfolderIsNotMadeBehindALink) {
  const std::string elsewhere = directory_ / "elsewhere", link = directory_ / "link";
  make_directories(elsewhere);
  std::filesystem::create_symlink("elsewhere", link);
  EXPECT_THAT(message<InputError>([&] { make_subfolder(link); }), StartsWith(link + ": is a symbolic link"));
  EXPECT_THAT(message<InputError>([&] { refuse_link(link); }), StartsWith(link + ": is a symbolic link"));
  refuse_link(elsewhere);
  make_subfolder(elsewhere);
  make_subfolder(elsewhere + "/new");
  EXPECT_TRUE(exists(elsewhere + "/new"));
}

TEST_F(NamesTest, WhatWouldBeReplacedIsNamed) {
  write_file(directory_ / "b", "x");
  std::filesystem::create_symlink("missing", directory_ / "c");
  refuse_to_replace(folder_, {"a", "d"}, "; give another folder");
  EXPECT_EQ(message<InputError>([&] {
              refuse_to_replace(folder_, {"a", "b", "c"}, "; give another folder");
            }),
            folder_ + ": already has b, c; give another folder");
}

TEST_F(NamesTest, AFolderThatMayNotBeReadIsNoMissingFile) {
  write_file(path_, "x");
  EXPECT_TRUE(exists(path_));
  EXPECT_FALSE(exists(path_ + "/below"));
  EXPECT_FALSE(exists(folder_ + "/missing"));
  if (::getuid() == 0) GTEST_SKIP() << "root reads everything";
  ::chmod(folder_.c_str(), 0);
  const std::string failure = message<SystemError>([&] { exists(path_); });
  ::chmod(folder_.c_str(), 0700);
  EXPECT_THAT(failure, AllOf(StartsWith(path_), HasSubstr("Permission denied")));
}

TEST_F(AtomicFileTest, FailuresNameThePath) {
  EXPECT_THAT(message<SystemError>([&] { write_file(folder_ + "/missing/x", "text"); }),
              AllOf(HasSubstr("/missing/x: cannot be written"), HasSubstr("No such file")));
  EXPECT_THAT(message<InputError>([&] { write_file(folder_, "text"); }), HasSubstr("is a folder"));
  EXPECT_THAT(message<InputError>([&] { write_file("", "text"); }), HasSubstr("empty"));
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
  EXPECT_THAT(message<SystemError>([&] { write_file("/dev/full", "text", NamedBy::user); }),
              AllOf(HasSubstr("/dev/full: cannot be written: No space left"), EndsWith("choose another folder")));
}

TEST_F(AtomicFileTest, LeftoversOfKilledWritersAreRemoved) {
  write_file(path_, "x");
  const pid_t child = ::fork();
  if (child == 0) {
    const AtomicFile file(path_);
    ::_exit(0);  // no destructor runs
  }
  ::waitpid(child, nullptr, 0);
  write_file(folder_ + "/a.txt.part-notours", "y");
  EXPECT_EQ(files(), 3u);
  {
    const AtomicFile writing(path_);  // removes what was left
    EXPECT_EQ(files(), 3u);
    remove_leftovers(path_);
    EXPECT_EQ(files(), 3u) << "a writer lost its file";
  }
  EXPECT_EQ(files(), 2u);
  EXPECT_EQ(test::read_file(path_), "x");
}

TEST_F(NamesTest, ATemporaryNameTellsTheFinalOne) {
  EXPECT_EQ(final_name("a.txt.part-abcdef"), "a.txt");
  EXPECT_EQ(final_name("events.1.kdef.part-aB3dEf"), "events.1.kdef");
  for (const char* other : {"a.txt", "a.part-abcde", "a.part-abcdefg", "a.part-abc.ef", "a.port-abcdef", "", "part"}) {
    EXPECT_EQ(final_name(other), other);
  }
}

TEST_F(NamesTest, AFolderIsListedOrSaysWhyNot) {
  for (const char* name : {"b", ".c", "a"}) test::put(folder_ + "/" + name, "");
  EXPECT_EQ(names_in(folder_), (std::vector<std::string>{".c", "a", "b"}));
  EXPECT_EQ(message<SystemError>([&] { names_in(path_); }), path_ + ": cannot be read: No such file or directory");
}

TEST_F(NamesTest, FoldersAreMadeAndRemoved) {
  const std::string deep = folder_ + "/a/b/c";
  make_directories(deep);
  make_directories(deep);
  EXPECT_TRUE(std::filesystem::is_directory(deep));
  write_file(deep + "/x", "x");
  EXPECT_EQ(message<InputError>([&] { make_directories(deep + "/x/y", "; choose another"); }),
            deep + "/x: is a file, where a folder is to be made for " + deep + "/x/y; choose another");
  EXPECT_EQ(message<InputError>([&] { make_directories(deep + "/x"); }),
            deep + "/x: is a file, where a folder is to be made; give another place");
  EXPECT_THAT(message<SystemError>([&] { make_directories("/proc/self/x/y", "; choose another"); }),
              AllOf(StartsWith("/proc/self/x/y: the folder cannot be made: "), EndsWith("; choose another")));
  remove_file(deep + "/x");
  remove_file(deep + "/x");
  EXPECT_FALSE(exists(deep + "/x"));
  remove_folder(folder_ + "/a");
  remove_folder(folder_ + "/a");
  EXPECT_FALSE(exists(folder_ + "/a"));
  EXPECT_THAT(message<SystemError>([&] { remove_file("/proc/self/status"); }), StartsWith("/proc/self/status: cannot"));
  EXPECT_THAT(message<SystemError>([&] { rename_file(path_, folder_ + "/b"); }), StartsWith(folder_ + "/b: cannot"));
}

TEST(Crc32, KnownAnswers) {
  EXPECT_EQ(crc32("123456789", 9), 0xCBF43926u);
  EXPECT_EQ(crc32("6789", 4, crc32("12345", 5)), 0xCBF43926u);
  EXPECT_EQ(crc32("", 0), 0u);
}

TEST(Crc32, TablesAndMultiplicationAgree) {
  if (!crc::has_multiplication()) GTEST_SKIP() << "this processor has no carry-less multiplication";
  std::vector<unsigned char> bytes(3000);
  uint32_t random = 1;
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>((random = random * 1664525 + 1013904223) >> 24);
  for (const size_t start : {0, 1, 7, 16}) {
    for (size_t size = 0; size < 300; ++size) {
      for (const uint32_t before : {0u, 0xCBF43926u, 0xFFFFFFFFu}) {
        ASSERT_EQ(crc::by_multiplication(bytes.data() + start, size, before),
                  crc::by_tables(bytes.data() + start, size, before))
            << size << " bytes from " << start;
      }
    }
  }
  EXPECT_EQ(crc::by_multiplication(bytes.data(), bytes.size(), 0), crc::by_tables(bytes.data(), bytes.size(), 0));
}

}  // namespace
}  // namespace kdef
