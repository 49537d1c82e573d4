// Members of a group, each with a part of a batch, compute what one process computes of the whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/base/random.h"
#include "core/tensor/collectives.h"
#include "kdef/method/ensembles.h"
#include "tests/support/thread_group.h"

namespace kdef {
namespace {

struct Batch {
  Tensor z, y;
};

Batch draw(int64_t rows, int64_t students) {
  Random random(7);
  std::vector<double> z, y;
  for (int64_t b = 0; b < rows; ++b) {
    for (int64_t k = 0; k < students; ++k) z.push_back(2 * random.normal());
    y.push_back(random.uniform() < 0.3 ? 1 : 0);
  }
  return {Tensor::from<double>(z, {rows, students}), Tensor::from<double>(y, {rows, 1})};
}

// L, and dL/dz times 3.
std::pair<double, std::vector<double>> loss_and_gradient(const Objective& objective, const Tensor& logits,
                                                         const Tensor& y, const ObjectiveConfig& config, bool fused) {
  Tensor z = logits.clone();
  z.set_requires_grad();
  const Tensor loss = objective.loss(default_task(), {z, mean_of_students(z), y, {}}, config, fused);
  backward(loss, Tensor::full({}, 3, DType::f64));
  return {loss.item(), z.grad().to_vector<double>()};
}

TEST(GroupOfProcesses, ObjectiveIsThatOfTheWholeBatch) {
  constexpr int64_t kRows = 1500, kFirst = 1100, kStudents = 3;  // parts of unequal size
  const Batch batch = draw(kRows, kStudents);
  const auto check = [&](const Objective& objective, const ObjectiveConfig& config, bool fused) {
    const auto of_rows = [&](int64_t first, int64_t count) {
      return loss_and_gradient(objective, batch.z.rows(first, count), batch.y.rows(first, count), config, fused);
    };
    const auto whole = of_rows(0, kRows);
    double largest = 0;
    for (const double g : whole.second) largest = std::max(largest, std::abs(g));
    test::ThreadGroup(2).run([&](Group& group) {
      const int64_t first = group.rank() == 0 ? 0 : kFirst, count = group.rank() == 0 ? kFirst : kRows - kFirst;
      const auto mine = of_rows(first, count);
      EXPECT_NEAR(mine.first, whole.first, 1e-14) << objective.name;
      ASSERT_EQ(mine.second.size(), static_cast<size_t>(count * kStudents));
      // The terms of a gradient of tri_bce may cancel: what is left is as exact as the largest gradient is.
      for (size_t i = 0; i < mine.second.size(); ++i) {
        const double expected = whole.second[static_cast<size_t>(first * kStudents) + i];
        EXPECT_NEAR(mine.second[i], expected, 1e-13 * std::abs(expected) + 1e-14 * largest) << objective.name;
      }
    });
    // That the test can fail: a member that does not know of the other has another loss.
    EXPECT_GT(std::abs(of_rows(0, kFirst).first - whole.first), 1e-4) << objective.name;
  };
  for (const Objective* objective : objectives()) {
    std::vector<ObjectiveConfig> configs{{}};
    for (const ObjectiveCase& c : objective->cases) configs.push_back(c.config);
    for (const ObjectiveConfig& config : configs) {
      for (const bool fused : {true, false}) check(*objective, config, fused);
    }
  }
}

}  // namespace
}  // namespace kdef
