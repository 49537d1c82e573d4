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

TEST(Collectives, RowsAreGatheredByRank) {
  test::ThreadGroup(3).run([](Group& group) {
    const auto rank = static_cast<float>(group.rank());
    const Tensor mine =
        group.rank() == 1 ? Tensor::empty({0, 2}, DType::f32) : Tensor::from<float>({rank, 1, rank, 2}, {2, 2});
    const Tensor all = gather_rows(group, mine);
    EXPECT_EQ(all.shape(), (Shape{4, 2}));
    EXPECT_EQ(all.to_vector<float>(), (std::vector<float>{0, 1, 0, 2, 2, 1, 2, 2}));
    EXPECT_EQ(gather_rows(group, Tensor::empty({0, 3}, DType::f64)).shape(), (Shape{0, 3}));
  });
  const Tensor t = Tensor::from<float>({1, 2}, {2});
  EXPECT_TRUE(gather_rows(Group::alone(), t).same_storage(t));
}

}  // namespace
}  // namespace kdef
