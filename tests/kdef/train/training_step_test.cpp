// One step of training: what run() and loss() compute.
#include "kdef/train/training_step.h"

#include <gtest/gtest.h>

#include "tests/kdef/small_model.h"

namespace kdef {
namespace {

struct Fixture {
  test::SmallModel small;
  Ensemble& model = small.model;
  nn::Optimizer optimizer{model.parameters(), {}};
  data::Batch batch = test::SmallModel::batch();
  ModelInput input = model_input(batch, 1, 1);

  double loss(ops::GemmPrecision precision, uint64_t step) {
    return TrainingStep(model, optimizer, precision, 7, 6).loss(input, step).item();
  }
};

TEST(TrainingStep, RepeatsTheLossOfAStepWithItsMasks) {
  Fixture f;
  const double first = f.loss(ops::GemmPrecision::f32, 0), second = f.loss(ops::GemmPrecision::f32, 1);
  EXPECT_NE(first, second) << "other masks";
  TrainingStep step(f.model, f.optimizer, ops::GemmPrecision::f32, 7, 6);
  step.run(f.input, 0);
  EXPECT_EQ(f.optimizer.take_records().at(0).loss, first);
  EXPECT_NE(f.loss(ops::GemmPrecision::f32, 0), first) << "the parameters did not move";
}

// The search for a tensor that is not finite must see the products as the step rounded them.
TEST(TrainingStep, RepeatsTheLossOfAStepInItsPrecision) {
  Fixture f;
  for (const ops::GemmPrecision precision : {ops::GemmPrecision::f32, ops::GemmPrecision::bf16}) {
    size_t ops_seen = 0;
    const RecordObserver observer([&](const Recorded&) {
      ++ops_seen;
      EXPECT_EQ(ops::gemm_precision(), precision);
    });
    f.loss(precision, 0);
    EXPECT_GT(ops_seen, 0u);
  }
  EXPECT_EQ(ops::gemm_precision(), ops::GemmPrecision::f32);
}

TEST(TrainingStep, WeighsRows) {
  Fixture f;
  const double plain = f.loss(ops::GemmPrecision::f32, 0);
  f.input.weights = Tensor::full({6, 1}, 1, DType::f32);
  EXPECT_EQ(f.loss(ops::GemmPrecision::f32, 0), plain);
  f.input.weights = Tensor::from<float>({1, 2, 3, 0, 0.5f, 1}, {6, 1});
  EXPECT_NE(f.loss(ops::GemmPrecision::f32, 0), plain);
}

}  // namespace
}  // namespace kdef
