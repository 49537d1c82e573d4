// Models and checkpoints on disk: what is written comes back, and what does not fit is refused by name.
#include "kdef/train/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/kdef/small_model.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using test::SmallModel;
using testing::HasSubstr;

std::vector<std::vector<float>> values(const Ensemble& model) {
  std::vector<std::vector<float>> all;
  for (const nn::Parameter& p : model.parameters()) all.push_back(p.tensor.to_vector<float>());
  return all;
}

template <class Fn>
std::string refusal(Fn fn) {
  try {
    fn();
  } catch (const InputError& e) {
    return e.what();
  }
  return "nothing was refused";
}

TEST(Checkpoint, AModelComesBack) {
  const test::TemporaryDirectory directory;
  SmallModel a(3), b(4);
  ASSERT_NE(values(a.model), values(b.model));
  save_model(directory / "m", a.model, {{"step", "7"}});
  load_model(directory / "m", b.model);
  EXPECT_EQ(values(a.model), values(b.model));
}

TEST(Checkpoint, RefusesTensorsThatDoNotFitByName) {
  const test::TemporaryDirectory directory;
  EnsembleConfig three = SmallModel::config();
  three.students.push_back(three.students[0]);
  SmallModel two, larger(3, three), users(3, SmallModel::config(), 6);
  save_model(directory / "two", two.model, {});
  save_model(directory / "three", larger.model, {});
  const std::vector<std::vector<float>> before = values(users.model);
  EXPECT_THAT(refusal([&] { load_model(directory / "two", larger.model); }), HasSubstr("has no tensor 'networks.2."));
  EXPECT_THAT(refusal([&] { load_model(directory / "three", two.model); }), HasSubstr("tensor 'networks.2."));
  EXPECT_THAT(refusal([&] { load_model(directory / "two", users.model); }), HasSubstr("user.weight' is "));
  EXPECT_EQ(values(users.model), before) << "a refused file changed the model";
}

TEST(Checkpoint, AStateComesBackToTheLastBit) {
  const test::TemporaryDirectory directory;
  SmallModel a(3), b(4);
  nn::Optimizer of_a(a.model.parameters(), {}), of_b(b.model.parameters(), {});
  TrainingState state;
  state.step = 12;
  state.epoch = 2;
  state.batch = 5;
  state.learning_rate = 1.0 / 3;
  state.loss_sum = 0.1;
  state.loss_count = 9;
  state.best = -2.0 / 7;
  state.has_best = true;
  state.without_improvement = 1;
  state.window = 4096;
  state.seconds = 1e-9;
  state.metrics_bytes = 77;
  state.collapse_bytes = 78;
  save_checkpoint(directory / "c", a.model, of_a, state, "mine");
  const TrainingState read = load_checkpoint(directory / "c", b.model, of_b, "mine");
  EXPECT_EQ(values(a.model), values(b.model));
  EXPECT_EQ(read.step, 12);
  EXPECT_EQ(read.epoch, 2);
  EXPECT_EQ(read.batch, 5);
  EXPECT_EQ(read.learning_rate, 1.0 / 3);
  EXPECT_EQ(of_b.learning_rate(), 1.0 / 3);
  EXPECT_EQ(read.loss_sum, 0.1);
  EXPECT_EQ(read.loss_count, 9);
  EXPECT_EQ(read.best, -2.0 / 7);
  EXPECT_TRUE(read.has_best);
  EXPECT_EQ(read.without_improvement, 1);
  EXPECT_FALSE(read.finished);
  EXPECT_EQ(read.window, 4096);
  EXPECT_EQ(read.seconds, 1e-9);
  EXPECT_EQ(read.metrics_bytes, 77);
  EXPECT_EQ(read.collapse_bytes, 78);
  EXPECT_THAT(refusal([&] { load_checkpoint(directory / "c", b.model, of_b, "other"); }),
              HasSubstr("another configuration or other data"));
  save_model(directory / "m", a.model, {});
  EXPECT_THAT(refusal([&] { load_checkpoint(directory / "m", b.model, of_b, "mine"); }), HasSubstr("no 'format'"));
}

}  // namespace
}  // namespace kdef
