#include "data/feed/memory.h"

#include <unistd.h>

#include "tests/data/support.h"

namespace kdef::data {
namespace {

class Memory : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((std::filesystem::path(root_.path()) / name).parent_path());
    root_.file(name, text);
  }
  int64_t usable() const { return usable_memory(root_.path()); }

  const int64_t machine_ = int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  TemporaryFolder root_;
};

TEST_F(Memory, OfTheMachineWithoutControlGroups) { EXPECT_EQ(usable(), machine_); }

TEST_F(Memory, VersionTwo) {
  write("proc/self/cgroup", "0::/jobs/one\n");
  EXPECT_EQ(usable(), machine_);  // the files are missing
  write("sys/fs/cgroup/jobs/one/memory.max", "max\n");
  EXPECT_EQ(usable(), machine_);
  write("sys/fs/cgroup/jobs/one/memory.max", "1000000\n");
  EXPECT_EQ(usable(), 1000000);
  write("sys/fs/cgroup/jobs/memory.max", "600000\n");  // the group above allows less
  EXPECT_EQ(usable(), 600000);
}

TEST_F(Memory, VersionTwoInAContainer) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/memory.max", "500000\n");
  EXPECT_EQ(usable(), 500000);
}

TEST_F(Memory, VersionOne) {
  write("proc/self/cgroup", "12:pids:/other\n5:cpu,memory:/docker/abc\n1:name=systemd:/x\n0::/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");  // no limit
  EXPECT_EQ(usable(), machine_);
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "400000\n");  // the path is the host's and is not there
  EXPECT_EQ(usable(), 400000);
  write("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "300000\n");
  EXPECT_EQ(usable(), 300000);
}

TEST_F(Memory, OfThisProcess) {
  EXPECT_GT(usable_memory(), 0);
  EXPECT_LE(usable_memory(), machine_);
}

}  // namespace
}  // namespace kdef::data
