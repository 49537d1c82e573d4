// Gradients that the members of a group add up.
#include "nn/optimizer/group_gradients.h"

#include <gtest/gtest.h>

#include "tests/support/thread_group.h"

namespace kdef::nn {
namespace {

Parameter parameter(const char* name, const Shape& shape, DType type = DType::f64) {
  Tensor t = Tensor::zeros(shape, type);
  t.set_requires_grad();
  return {name, t, shape.rank() == 2};
}

RowGradient rows(const std::vector<int64_t>& ids, const std::vector<double>& values) {
  const auto count = static_cast<int64_t>(ids.size());
  return {Tensor::from<int64_t>(ids, {count}), Tensor::from<double>(values, {count, 2})};
}

TEST(GroupGradients, RowsOfATableAreAddedById) {
  test::ThreadGroup(3).run([](Group& group) {
    const Parameter table = parameter("table", {9, 2});
    // Two parts, of which one shares an id with another member; a member without rows; a part with an end that names no
    // row, as devices make it.
    if (group.rank() == 0) {
      table.tensor.gradient().add(rows({2, 5}, {1, 2, 3, 4}));
      table.tensor.gradient().add(rows({5}, {10, 20}));
    } else if (group.rank() == 2) {
      table.tensor.gradient().add(rows({1, 5, kNoRow}, {7, 8, 100, 200, 1e9, 1e9}));
    }
    sum_over_group(group, {table});
    const Gradient& g = table.tensor.gradient();
    ASSERT_TRUE(g.is_rows_only());
    ASSERT_EQ(g.row_parts().size(), 1u);
    EXPECT_EQ(g.row_parts()[0].ids.to_vector<int64_t>(), (std::vector<int64_t>{1, 2, 5}));
    EXPECT_EQ(g.row_parts()[0].values.to_vector<double>(), (std::vector<double>{7, 8, 1, 2, 113, 224}));
  });
}

TEST(GroupGradients, AreAddedPairwiseByRank) {
  const double values[4] = {1e16, 1, -1e16, 1};  // by rank; the small numbers are lost, as they are not one by one
  test::ThreadGroup(4).run([&](Group& group) {
    const double mine = values[group.rank()];
    const Parameter table = parameter("table", {4, 2}), weight = parameter("weight", {1});
    table.tensor.gradient().add(rows({3}, {mine, mine}));
    weight.tensor.gradient().add(Tensor::from<double>({mine}, {1}));
    sum_over_group(group, {table, weight});
    EXPECT_EQ(table.tensor.gradient().row_parts()[0].values.to_vector<double>(), (std::vector<double>{0, 0}));
    EXPECT_EQ(weight.tensor.grad().item(), 0);
  });
}

TEST(GroupGradients, OneTensorMayBeTheGradientOfTwoParameters) {
  test::ThreadGroup(2).run([](Group& group) {
    const Parameter a = parameter("a", {2}), b = parameter("b", {2});
    const Tensor dy = Tensor::from<double>({1, 2}, {2});
    a.tensor.gradient().add(dy);
    b.tensor.gradient().add(dy);
    sum_over_group(group, {a, b});
    EXPECT_EQ(a.tensor.grad().to_vector<double>(), (std::vector<double>{2, 4}));
    EXPECT_EQ(b.tensor.grad().to_vector<double>(), (std::vector<double>{2, 4}));
    EXPECT_EQ(dy.to_vector<double>(), (std::vector<double>{1, 2}));
  });
}

TEST(GroupGradients, ShardsAreAddedPairwiseInTheFormOfTheWidest) {
  const double values[4] = {1e16, 1, -1e16, 1};
  std::vector<std::vector<Parameter>> shards;
  for (const double v : values) {
    shards.push_back(
        {parameter("rows", {4, 2}), parameter("dense", {1}), parameter("both", {2, 2}), parameter("no", {1})});
    shards.back()[0].tensor.gradient().add(rows({3}, {v, v}));
    shards.back()[1].tensor.gradient().add(Tensor::from<double>({v}, {1}));
  }
  shards[1][0].tensor.gradient().add(rows({0}, {5, 6}));
  shards[2][2].tensor.gradient().add(rows({1}, {1, 2}));
  shards[3][2].tensor.gradient().add(Tensor::full({2, 2}, 10, DType::f64));
  sum_over_shards(shards, shards[0]);
  const Gradient& g = shards[0][0].tensor.gradient();
  ASSERT_TRUE(g.is_rows_only());
  EXPECT_EQ(g.row_parts().at(0).ids.to_vector<int64_t>(), (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(g.row_parts().at(0).values.to_vector<double>(), (std::vector<double>{5, 6, 0, 0}));
  EXPECT_EQ(shards[0][1].tensor.grad().item(), 0);
  EXPECT_EQ(shards[0][2].tensor.grad().to_vector<double>(), (std::vector<double>{10, 10, 11, 12}));
  EXPECT_FALSE(shards[0][3].tensor.grad().defined());
  for (size_t p = 0; p < 3; ++p) EXPECT_FALSE(shards[1][p].tensor.grad().defined()) << p;
}

TEST(GroupGradients, OneTensorMayBeTheGradientOfTwoParametersOfAShard) {
  std::vector<std::vector<Parameter>> shards;
  const Tensor dy = Tensor::from<double>({1, 2}, {2});
  for (int i = 0; i < 2; ++i) {
    shards.push_back({parameter("a", {2}), parameter("b", {2})});
    for (const Parameter& p : shards.back()) p.tensor.gradient().add(dy);
  }
  sum_over_shards(shards, shards[0]);
  for (const Parameter& p : shards[0]) EXPECT_EQ(p.tensor.grad().to_vector<double>(), (std::vector<double>{2, 4}));
  EXPECT_EQ(dy.to_vector<double>(), (std::vector<double>{1, 2}));
}

TEST(GroupGradients, FormsMayDiffer) {
  test::ThreadGroup(3).run([](Group& group) {
    const Parameter table = parameter("table", {3, 2}), untouched = parameter("untouched", {2});
    if (group.rank() == 0) table.tensor.gradient().add(rows({2}, {1, 2}));
    if (group.rank() == 1) table.tensor.gradient().add(Tensor::full({3, 2}, 10, DType::f64));
    sum_over_group(group, {table, untouched});
    EXPECT_EQ(table.tensor.grad().to_vector<double>(), (std::vector<double>{10, 10, 10, 10, 11, 12}));
    EXPECT_FALSE(untouched.tensor.grad().defined());
  });
}

TEST(GroupGradients, AloneStayAsTheyAre) {
  const Parameter table = parameter("table", {3, 2});
  table.tensor.gradient().add(rows({2}, {1, 2}));
  table.tensor.gradient().add(rows({1}, {3, 4}));
  sum_over_group(Group::alone(), {table});
  EXPECT_EQ(table.tensor.gradient().row_parts().size(), 2u);
}

}  // namespace
}  // namespace kdef::nn
