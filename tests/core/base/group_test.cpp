#include "core/base/group.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "core/base/error.h"
#include "tests/support/thread_group.h"

namespace kdef {
namespace {

using Bytes = Group::Bytes;

Bytes bytes(const std::string& text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

TEST(Group, AloneChangesNothing) {
  Group& group = Group::alone();
  EXPECT_EQ(&Group::current(), &group);
  EXPECT_EQ(group.rank(), 0);
  EXPECT_EQ(group.size(), 1);
  EXPECT_TRUE(group.is_alone() && group.is_first());
  double value = 0.1;
  group.all_reduce(std::span(&value, 1));
  EXPECT_EQ(value, 0.1);
  EXPECT_EQ(group.all_gather(bytes("a")), (std::vector<Bytes>{bytes("a")}));
  EXPECT_EQ(group.all_to_all({bytes("a")}), (std::vector<Bytes>{bytes("a")}));
  EXPECT_TRUE(group.agree(true));
  EXPECT_FALSE(group.agree(false));
  group.barrier();
}

// What every implementation promises; for the one over MPI the same test is to be run by its processes.
void check_promises(Group& group) {
  const int rank = group.rank(), size = group.size();
  // 1e16 + 1 - 1e16 depends on the order: by rank, the small number is lost.
  std::vector<double> values = {1.0 * rank, rank == 0 ? 1e16 : rank == 1 ? 1.0 : -1e16};
  group.all_reduce(values);
  EXPECT_EQ(values[0], size * (size - 1) / 2.0);
  if (size == 3) {
    EXPECT_EQ(values[1], 0.0);
  }
  float one = 1;
  group.all_reduce(std::span(&one, 1));
  EXPECT_EQ(one, static_cast<float>(size));

  const std::vector<Bytes> gathered = group.all_gather(bytes(std::string(static_cast<size_t>(rank), 'x')));
  ASSERT_EQ(gathered.size(), static_cast<size_t>(size));
  for (int r = 0; r < size; ++r) EXPECT_EQ(gathered[static_cast<size_t>(r)].size(), static_cast<size_t>(r));

  std::vector<Bytes> parts;
  for (int r = 0; r < size; ++r) parts.push_back(bytes(cat(rank, " to ", r)));
  const std::vector<Bytes> received = group.all_to_all(parts);
  for (int r = 0; r < size; ++r) EXPECT_EQ(received[static_cast<size_t>(r)], bytes(cat(r, " to ", rank)));

  int data = rank;
  group.broadcast(std::as_writable_bytes(std::span(&data, 1)), size - 1);
  EXPECT_EQ(data, size - 1);
  EXPECT_TRUE(group.agree(rank == size - 1));
  EXPECT_FALSE(group.agree(false));
  group.barrier();
}

TEST(Group, MembersKeepThePromises) {
  for (const int size : {1, 2, 3}) test::ThreadGroup(size).run(check_promises);
}

TEST(Group, AScopeIsOfItsThread) {
  test::ThreadGroup(2).run([](Group& group) {
    EXPECT_EQ(&Group::current(), &group);
    {
      const GroupScope alone(Group::alone());
      EXPECT_TRUE(Group::current().is_alone());
    }
    EXPECT_EQ(&Group::current(), &group);
  });
  EXPECT_TRUE(Group::current().is_alone());
}

}  // namespace
}  // namespace kdef
