#include "core/tensor/collectives.h"

#include <gtest/gtest.h>

#include "tests/support/thread_group.h"

namespace kdef {
namespace {

TEST(Collectives, TensorsAreAddedInPlace) {
  test::ThreadGroup(2).run([](Group& group) {
    const Tensor t = Tensor::from<float>({1, static_cast<float>(group.rank())}, {2});
    const int64_t version = t.version();
    all_reduce(group, t);
    EXPECT_EQ(t.to_vector<float>(), (std::vector<float>{2, 1}));
    EXPECT_GT(t.version(), version);
  });
  const Tensor t = Tensor::from<double>({3}, {1});
  all_reduce(Group::alone(), t);
  EXPECT_EQ(t.item(), 3);
  EXPECT_EQ(t.version(), 0);
}

}  // namespace
}  // namespace kdef
