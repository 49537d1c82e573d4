#include "core/io/file_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/io/file.h"
#include "tests/core/io/support.h"

namespace kdef {
namespace {

using testing::HasSubstr;

using FileLockTest = test::Files;

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

}  // namespace
}  // namespace kdef
