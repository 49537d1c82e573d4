// Members of a group whose tensors are on the device compute what one process computes of the whole batch.
#include "tests/cuda/support.h"
#include "tests/ops/group_problem.h"

namespace kdef::ops {
namespace {

using test::HiddenOps;

TEST(GroupOnDevice, HiddenLayersAndLossesAreThoseOfTheWholeBatch) {
  const std::vector<int64_t> sizes{100, 1, 99};
  for (const bool training : {true, false}) {
    for (const HiddenOps kind : {HiddenOps::composed, HiddenOps::fused}) {
      test::expect_whole_batch(test::hidden_problem(kind, training, 4, 200), sizes, test::kDevice);
    }
  }
  test::expect_whole_batch(test::hidden_problem(HiddenOps::side_by_side, true, 1, 200), sizes, test::kDevice);
}

// 33 numbers in a row: the first number of most rows is not the first of a Philox block.
TEST(GroupOnDevice, RowsHaveTheMasksOfTheirPlaceInTheBatch) {
  const Tensor x = random_uniform({50, 33}, 1, 2, 1).to(test::kDevice);
  DropoutKey key = dropout_key(1, 0, 5);
  const Tensor whole = dropout(x, 0.3, key);
  for (const int64_t first : {0, 1, 2, 40}) {
    key.first_row = first;
    EXPECT_EQ(dropout(x.rows(first, 10), 0.3, key).to_vector<double>(), whole.rows(first, 10).to_vector<double>())
        << "row " << first;
  }
}

}  // namespace
}  // namespace kdef::ops
