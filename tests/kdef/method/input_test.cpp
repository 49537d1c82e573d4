// Batches of the loader as a model's input, and their way to a device.
#include "kdef/method/input.h"

#include <gtest/gtest.h>

#include "kdef/method/batch_feed.h"
#include "tests/kdef/small_model.h"

namespace kdef {
namespace {

TEST(ModelInput, UsesTheBuffersOfTheBatch) {
  data::Batch batch = test::SmallModel::batch();
  const ModelInput input = model_input(batch, 1, 1);
  EXPECT_EQ(input.rows(), 6);
  EXPECT_EQ(input.ids.data<int32_t>(), batch.ids.data());
  EXPECT_EQ(input.values.data<float>(), batch.numerics.data());
  EXPECT_EQ(input.labels.data<float>(), batch.labels.data());
  EXPECT_EQ(input.labels.shape(), (Shape{6, 1}));
  EXPECT_FALSE(input.weights.defined());
  batch.weights.assign(6, 2);
  EXPECT_EQ(model_input(batch, 1, 1).weights.to_vector<float>(), std::vector<float>(6, 2));
}

TEST(ModelInput, LacksWhatTheBatchLacks) {
  data::Batch batch = test::SmallModel::batch();
  batch.labels.clear();
  const ModelInput numbers = model_input(batch, 0, 1), ids = model_input(batch, 1, 0);
  EXPECT_FALSE(numbers.ids.defined() || numbers.labels.defined() || ids.values.defined());
  EXPECT_EQ(numbers.rows(), 6);
  EXPECT_EQ(ids.rows(), 6);
  EXPECT_FALSE(ids.to(kCpu).labels.defined());
}

TEST(BatchFeed, OnTheCpuIsTheBatchItself) {
  data::Batch batch = test::SmallModel::batch();
  batch.weights.assign(6, 1);
  BatchFeed feed(kCpu, 6, 1, 1, true);
  const ModelInput input = feed.put(batch);
  EXPECT_EQ(input.ids.data<int32_t>(), batch.ids.data());
  EXPECT_EQ(input.weights.data<float>(), batch.weights.data());
}

}  // namespace
}  // namespace kdef
