#include "core/io/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <vector>

#include "core/io/append_file.h"
#include "core/io/file_lock.h"
#include "core/io/mapped_file.h"
#include "core/io/temporary_file.h"
#include "core/io/temporary_folder.h"
#include "tests/support/files.h"

namespace kdef {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

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

  const test::TemporaryDirectory directory_;
  const std::string folder_ = directory_.path(), path_ = directory_ / "a.txt";
};

// ---- AtomicFile

using AtomicFileTest = Files;

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
  write_file(link, "after");
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(test::read_file(path_), "after");
}

TEST_F(AtomicFileTest, FailuresNameThePath) {
  EXPECT_THAT(message<SystemError>([&] { write_file(folder_ + "/missing/x", "text"); }),
              AllOf(HasSubstr("/missing/x: cannot be written"), HasSubstr("No such file")));
  EXPECT_THAT(message<InputError>([&] { write_file(folder_, "text"); }), HasSubstr("is a folder"));
  EXPECT_THAT(message<InputError>([&] { write_file("", "text"); }), HasSubstr("empty"));
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
  EXPECT_THAT(message<SystemError>([&] { write_file("/dev/full", "text"); }),
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
  remove_leftovers(path_);
  EXPECT_EQ(files(), 2u);
  EXPECT_EQ(test::read_file(path_), "x");
}

// ---- Names

TEST_F(Files, FoldersAreMadeAndRemoved) {
  const std::string deep = folder_ + "/a/b/c";
  make_directories(deep);
  make_directories(deep);
  EXPECT_TRUE(std::filesystem::is_directory(deep));
  write_file(deep + "/x", "x");
  EXPECT_THAT(message<SystemError>([&] { make_directories(deep + "/x/y", "; choose another"); }),
              AllOf(StartsWith(deep + "/x/y: the folder cannot be made: "), EndsWith("; choose another")));
  remove_file(deep + "/x");
  remove_file(deep + "/x");
  EXPECT_FALSE(exists(deep + "/x"));
  remove_folder(folder_ + "/a");
  remove_folder(folder_ + "/a");
  EXPECT_FALSE(exists(folder_ + "/a"));
  EXPECT_THAT(message<SystemError>([&] { remove_file("/proc/self/status"); }), StartsWith("/proc/self/status: cannot"));
  EXPECT_THAT(message<SystemError>([&] { rename_file(path_, folder_ + "/b"); }), StartsWith(folder_ + "/b: cannot"));
}

// ---- AppendFile

using AppendFileTest = Files;

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

TEST_F(AppendFileTest, FailuresNameThePath) {
  EXPECT_THAT(message<SystemError>([&] { AppendFile{folder_}; }), StartsWith(folder_ + ": cannot be written: Is a"));
  EXPECT_THAT(message<SystemError>([&] { AppendFile{folder_ + "/no/x"}; }), HasSubstr("/no/x: cannot be written"));
}

// ---- FileLock

// Another process that holds the lock on a path until it is told to let go.
class Holder {
 public:
  explicit Holder(const std::string& path) {
    int ready[2], go[2];
    EXPECT_EQ(::pipe(ready), 0);
    EXPECT_EQ(::pipe(go), 0);
    child_ = ::fork();
    if (child_ == 0) {
      ::close(go[1]);
      const FileLock lock(path);
      char byte = lock.held();
      [[maybe_unused]] ssize_t n = ::write(ready[1], &byte, 1);
      n = ::read(go[0], &byte, 1);
      ::_exit(0);
    }
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    EXPECT_EQ(byte, 1);
    ::close(ready[0]);
    ::close(ready[1]);
    ::close(go[0]);
    go_ = go[1];
  }
  ~Holder() { let_go(); }
  void let_go() {
    if (go_ >= 0) ::close(std::exchange(go_, -1));
    if (child_ > 0) ::waitpid(std::exchange(child_, 0), nullptr, 0);
  }
  pid_t id() const { return child_; }

 private:
  pid_t child_ = 0;
  int go_ = -1;
};

using FileLockTest = Files;

TEST_F(FileLockTest, OneHolderAtATimeOfAFileOrFolder) {
  for (const std::string& path : {path_, folder_}) {
    auto first = FileLock::try_lock(path);
    ASSERT_TRUE(first && first->held());
    EXPECT_FALSE(FileLock::try_lock(path));  // within one process too
    first.reset();
    Holder other(path);
    EXPECT_FALSE(FileLock::try_lock(path));
    other.let_go();
    EXPECT_TRUE(FileLock::try_lock(path));
  }
  EXPECT_TRUE(exists(path_));
}

TEST_F(FileLockTest, WaitsAndTellsWhoHoldsIt) {
  Holder other(path_);
  const std::string id = cat("process ", other.id());
  std::vector<std::string> holders;
  const FileLock lock(path_, [&](const std::string& holder) {
    holders.push_back(holder);
    if (holders.size() == 3) other.let_go();
  });
  EXPECT_TRUE(lock.held());
  ASSERT_EQ(holders.size(), 3u);
  // Some containers hide /proc/locks or the numbers in it.
  EXPECT_TRUE(holders[0] == "another process" || holders[0].starts_with(id + " (test_core")) << holders[0];
}

TEST_F(FileLockTest, AWaitEndsWithWhatItsCallbackThrows) {
  const Holder other(path_);
  int calls = 0;
  EXPECT_THROW(FileLock(path_,
                        [&](const std::string&) {
                          if (++calls == 2) throw CheckError("stop");
                        }),
               CheckError);
  EXPECT_EQ(calls, 2);
}

TEST_F(FileLockTest, FailuresNameThePath) {
  EXPECT_THAT(message<SystemError>([&] { FileLock{folder_ + "/no/x"}; }),
              HasSubstr("/no/x: cannot be locked: No such"));
}

// ---- MappedFile

using MappedFileTest = Files;

TEST_F(MappedFileTest, ShowsTheBytes) {
  std::string text(100'000, '\0');
  std::iota(text.begin(), text.end(), 'a');
  write_file(path_, text);
  MappedFile file(path_);
  EXPECT_EQ(file.text(), text);
  for (const auto& [first, bytes] : {std::pair<size_t, size_t>{0, 10}, {5000, 1 << 20}, {200'000, 5}, {99'999, ~0ul}}) {
    file.will_need(first, bytes);
  }
  MappedFile moved(std::move(file));
  EXPECT_EQ(file.size(), 0u);
  EXPECT_EQ(file.data(), nullptr);
  EXPECT_EQ(moved.text(), text);
  file = std::move(moved);
  EXPECT_EQ(file.text(), text);
  write_file(path_, "new");  // a file replaced as a whole leaves the map whole
  EXPECT_EQ(file.text(), text);
  drop_from_page_cache(path_);
}

TEST_F(MappedFileTest, AnEmptyFileIsEmpty) {
  write_file(path_, "");
  MappedFile file(path_);
  EXPECT_EQ(file.size(), 0u);
  EXPECT_EQ(file.text(), "");
  file.will_need(0, 10);
  const MappedFile none;
  EXPECT_EQ(none.text(), "");
}

TEST_F(MappedFileTest, WhatIsNoFileIsRefused) {
  EXPECT_THAT(message<InputError>([&] { MappedFile(path_, "; prepare the data first"); }),
              AllOf(StartsWith(path_ + ": cannot be opened: No such file"), EndsWith("; prepare the data first")));
  EXPECT_THAT(message<InputError>([&] { MappedFile{folder_}; }), HasSubstr("not a regular file"));
  EXPECT_THAT(message<InputError>([&] { MappedFile{"/dev/null"}; }), HasSubstr("not a regular file"));
}

// ---- TemporaryFile

using TemporaryFileTest = Files;

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

TEST(Crc32, KnownAnswers) {
  EXPECT_EQ(crc32("123456789", 9), 0xCBF43926u);
  EXPECT_EQ(crc32("6789", 4, crc32("12345", 5)), 0xCBF43926u);
  EXPECT_EQ(crc32("", 0), 0u);
}

}  // namespace
}  // namespace kdef
