// Members of a group, each with a part of a batch, compute what one process computes of the whole.
#include <gtest/gtest.h>

#include "tests/ops/group_problem.h"

namespace kdef::ops {
namespace {

using test::BatchProblem;
using test::HiddenOps;

// Parts of unequal sizes, some of them larger than the pieces that a sum is cut into; one member has a single row.
const std::vector<std::vector<int64_t>> kSizes = {{300, 401}, {1, 7}, {350, 1, 350}, {100, 64, 537}};

int64_t total(const std::vector<int64_t>& sizes) {
  int64_t sum = 0;
  for (const int64_t n : sizes) sum += n;
  return sum;
}

TEST(GroupOfProcesses, HiddenLayersAreThoseOfTheWholeBatch) {
  for (const std::vector<int64_t>& sizes : kSizes) {
    for (const bool training : {true, false}) {
      for (const int64_t out : {1, 4}) {
        for (const HiddenOps kind : {HiddenOps::composed, HiddenOps::fused, HiddenOps::with_product}) {
          SCOPED_TRACE(
              cat(sizes.size(), " members, training ", training, ", ", out, " outputs, kind ", static_cast<int>(kind)));
          test::expect_whole_batch(test::hidden_problem(kind, training, out, total(sizes)), sizes);
        }
      }
    }
    test::expect_whole_batch(test::hidden_problem(HiddenOps::side_by_side, true, 1, total(sizes)), sizes);
  }
}

TEST(GroupOfProcesses, LossesAreThoseOfTheWholeBatch) {
  using Loss = Tensor (*)(const Tensor&, const Tensor&, const Tensor&);
  for (const std::vector<int64_t>& sizes : kSizes) {
    for (const Loss loss : {binary_cross_entropy, binary_cross_entropy_with_logits, mean_squared_error}) {
      for (const bool weighted : {true, false}) {
        BatchProblem p;
        const int64_t batch = total(sizes);
        p.rows = {random_uniform({batch, 3}, 0.1, 0.9, 1), random_uniform({batch, 3}, 0, 1, 2),
                  random_uniform({batch, 1}, 0, 2, 3)};
        p.loss = [=](const BatchProblem& in, int64_t) {
          return loss(in.rows[0], in.rows[1], weighted ? in.rows[2] : Tensor());
        };
        test::expect_whole_batch(p, sizes);
      }
    }
  }
}

// One row in all has no variance; the members find out together.
TEST(GroupOfProcesses, ABatchOfOneRowHasNoVariance) {
  BatchProblem p = test::hidden_problem(HiddenOps::composed, true, 1, 1);
  test::ThreadGroup(2).run(
      [&](Group& group) { EXPECT_THROW(test::outcome(p, 0, group.rank() == 0 ? 1 : 0, kCpu), Error); });
}

}  // namespace
}  // namespace kdef::ops
