// Members of a group, each with a part of a batch, compute what one process computes of the whole.
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/random.h"
#include "core/tensor/collectives.h"
#include "kdef/method/objective.h"
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
std::pair<double, std::vector<double>> objective(const Tensor& logits, const Tensor& y, const ObjectiveConfig& config,
                                                 bool fused = true) {
  Tensor z = logits.clone();
  z.set_requires_grad();
  const Tensor loss = (fused ? kdef_objective : kdef_objective_composed)(z, y, config, {});
  backward(loss, Tensor::full({}, 3, DType::f64));
  return {loss.item(), z.grad().to_vector<double>()};
}

TEST(GroupOfProcesses, ObjectiveIsThatOfTheWholeBatch) {
  constexpr int64_t kRows = 1500, kFirst = 1100, kStudents = 3;  // parts of unequal size
  const Batch batch = draw(kRows, kStudents);
  for (const Examination examination : {Examination::on, Examination::detached, Examination::equal}) {
    for (const auto& [peer, fused] : {std::pair{true, true}, {false, true}, {true, false}, {false, false}}) {
      const ObjectiveConfig config{true, peer, examination};
      const auto [loss, gradient] = objective(batch.z, batch.y, config, fused);
      test::ThreadGroup(2).run([&, loss = loss, &gradient = gradient, fused = fused](Group& group) {
        const int64_t first = group.rank() == 0 ? 0 : kFirst, count = group.rank() == 0 ? kFirst : kRows - kFirst;
        const auto [my_loss, my_gradient] =
            objective(batch.z.rows(first, count), batch.y.rows(first, count), config, fused);
        EXPECT_NEAR(my_loss, loss, 1e-14);
        ASSERT_EQ(my_gradient.size(), static_cast<size_t>(count * kStudents));
        for (size_t i = 0; i < my_gradient.size(); ++i) {
          const double expected = gradient[static_cast<size_t>(first * kStudents) + i];
          EXPECT_NEAR(my_gradient[i], expected, 1e-13 * std::abs(expected) + 1e-18);
        }
      });
      // That the test can fail: a member that does not know of the other has another loss.
      EXPECT_GT(std::abs(objective(batch.z.rows(0, kFirst), batch.y.rows(0, kFirst), config, fused).first - loss),
                1e-4);
    }
  }
}

}  // namespace
}  // namespace kdef
