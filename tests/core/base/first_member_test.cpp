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

}  // namespace
}  // namespace kdef
