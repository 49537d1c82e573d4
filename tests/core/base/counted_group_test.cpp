#include "core/base/counted_group.h"

#include <gtest/gtest.h>

#include "tests/support/thread_group.h"

namespace kdef {
namespace {

TEST(CountedGroup, CountsWhatAMemberSends) {
  test::ThreadGroup(4).run([](Group& members) {
    CountedGroup group(members);
    const int rank = group.rank();
    EXPECT_EQ(group.size(), 4);
    std::vector<double> sums = {1, 1.0 * rank};
    group.all_reduce(sums);
    EXPECT_EQ(sums, (std::vector<double>{4, 6}));
    std::vector<float> numbers(8, 1);
    for (int i = 0; i < 2; ++i) group.all_reduce(numbers);
    EXPECT_EQ(numbers[7], 16);
    const Group::Bytes mine(static_cast<size_t>(10 * rank));
    EXPECT_EQ(group.all_gather(mine)[3].size(), 30u);
    EXPECT_EQ(group.all_to_all({4, mine}).size(), 4u);
    int data = rank;
    group.broadcast(std::as_writable_bytes(std::span(&data, 1)), 2);
    EXPECT_EQ(data, 2);
    EXPECT_TRUE(group.agree(rank == 1));
    group.barrier();

    const auto expect = [&](const char* kind, double calls, double bytes) {
      const Traffic& traffic = group.traffic().at(kind);
      EXPECT_EQ(traffic.calls, calls) << kind;
      EXPECT_EQ(traffic.bytes, bytes) << kind;
      EXPECT_GE(traffic.seconds, 0) << kind;
    };
    expect("sums of fp64", 1, 1.5 * 16);
    expect("sums of fp32", 2, 2 * 1.5 * 32);
    expect("gather", 1, 3 * 10 * rank);
    expect("exchange", 1, 3 * 10 * rank);
    expect("broadcast", 1, rank == 2 ? 3 * 4 : 0);
    expect("agreement", 2, 0);
  });
}

TEST(CountedGroup, OneMemberSendsNothing) {
  CountedGroup group(Group::alone());
  double value = 0.5;
  group.all_reduce(std::span(&value, 1));
  EXPECT_EQ(value, 0.5);
  EXPECT_EQ(group.traffic().at("sums of fp64").bytes, 0);
}

}  // namespace
}  // namespace kdef
