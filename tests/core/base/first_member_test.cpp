#include "core/base/first_member.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/support/thread_group.h"

namespace kdef {
namespace {

TEST(FirstMember, FailsInAll) {
  int done = 0;
  by_first_member(Group::alone(), [&] { ++done; });
  EXPECT_THROW(by_first_member(Group::alone(), [] { throw InputError("disk"); }), InputError);
  test::ThreadGroup(3).run([&](Group& group) {
    by_first_member(group, [&] { ++done; });
    EXPECT_EQ(done, 2);
    group.barrier();
    const auto failing = [&] { by_first_member(group, [] { throw InputError("disk"); }); };
    if (group.is_first())
      EXPECT_THROW(failing(), InputError);
    else
      EXPECT_THROW(failing(), Error);
  });
}

TEST(AllMembers, LearnThatOneHasFailed) {
  for (const int failing : {0, 2}) {
    test::ThreadGroup(3).run([&](Group& group) {
      int meetings = 0;
      const auto work = [&] {
        for (int i = 0; i < 5; ++i) {
          if (i == 3 && group.rank() == failing) throw InputError("row 7");
          meet(group);
          ++meetings;
        }
      };
      if (group.rank() == failing)
        EXPECT_THROW(by_all_members(group, work), InputError);
      else
        EXPECT_THROW(by_all_members(group, work), OtherMemberFailed);
      EXPECT_EQ(meetings, 3);
      by_all_members(group, [&] { meet(group); });  // the group is in step
    });
  }
}

TEST(AllMembers, AFailureBehindTheLastMeetingIsKnownToAll) {
  test::ThreadGroup(2).run([&](Group& group) {
    const auto work = [&] {
      if (group.rank() == 1) throw SystemError("disk");
    };
    EXPECT_THROW(by_all_members(group, work), SystemError);
  });
}

TEST(AllMembers, OfSeveralFailuresTheOneOfTheLowestRankIsTold) {
  test::ThreadGroup(4).run([&](Group& group) {
    const auto work = [&] {
      if (group.rank() >= 2) throw InputError(cat("member ", group.rank()));
    };
    if (group.rank() == 2)
      EXPECT_THROW(by_all_members(group, work), InputError);
    else
      EXPECT_THROW(by_all_members(group, work), OtherMemberFailed);
  });
}

TEST(AllMembers, TakeStepsUntilAllAreDoneOrOneFails) {
  test::ThreadGroup(3).run([&](Group& group) {
    int steps = 0;
    by_all_members(group, [&] { in_steps(group, [&] { return ++steps <= group.rank(); }); });
    EXPECT_EQ(steps, group.rank() + 1);
    steps = 0;
    const auto failing = [&] {
      in_steps(group, [&] {
        if (++steps == 2 && group.rank() == 1) throw InputError("row 7");
        return steps < 100;
      });
    };
    EXPECT_THROW(by_all_members(group, failing), Error);
    EXPECT_EQ(steps, 2);
  });
  int alone = 0;
  in_steps(Group::alone(), [&] { return ++alone < 5; });
  EXPECT_EQ(alone, 5);
}

TEST(AllMembers, TheFirstTextByRankIsEverybodys) {
  test::ThreadGroup(3).run([&](Group& group) {
    EXPECT_EQ(first_text(group, group.rank() == 0 ? "" : cat("member ", group.rank())), "member 1");
    EXPECT_EQ(first_text(group, ""), "");
  });
}

}  // namespace
}  // namespace kdef
