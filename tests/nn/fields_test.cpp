// One batch and its readers: the forms it is read in, and tables that networks bring themselves.
#include "nn/fields.h"

#include <gtest/gtest.h>

#include <set>

#include "nn/layers.h"
#include "ops/check/gradcheck.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

using Kind = EmbeddingField::Kind;

std::vector<EmbeddingField> some_fields() {
  return {{"user", Kind::id, 5},
          {"tags", Kind::average, 6, 3},
          {"price", Kind::numeric},
          {"item", Kind::id, 6},
          {"age", Kind::numeric}};
}

// 40 rows for some_fields(): ids [40, 5], values [40, 2].
struct Batch {
  Tensor ids, values;
};
Batch some_batch() {
  std::vector<int32_t> ids;
  for (int32_t b = 0; b < 40; ++b) {
    for (const int32_t id : {1 + b % 4, b % 6, (b + 3) % 6, (b / 2) % 6, 1 + (b / 3) % 5}) ids.push_back(id);
  }
  return {Tensor::from(ids, {40, 5}), ops::random_uniform({40, 2}, -1, 1, 3)};
}

std::multiset<std::string> ops_of(const std::function<void()>& compute) {
  std::multiset<std::string> ops;
  const RecordObserver observer([&](const Recorded& r) { ops.insert(r.op.name); });
  compute();
  return ops;
}

Pass training() { return {.training = true}; }

TEST(Fields, EveryFormIsComputedOnce) {
  Builder build(1, DType::f64);
  const EmbeddingTables tables(some_fields(), 4, build);
  const Linear a(20, 3, build), b(20, 3, build);
  const Batch batch = some_batch();
  const auto ops = ops_of([&] {
    const Fields fields(tables, batch.ids, batch.values, training());
    const Fields copy = fields;
    EXPECT_TRUE(copy.same_as(fields));
    EXPECT_TRUE(fields.whole().same_storage(copy.whole()));
    a.forward(fields);
    b.forward(copy);
    EXPECT_EQ(fields.flat().shape(), (Shape{40, 20}));
    EXPECT_EQ(fields.rows(), 40);
  });
  EXPECT_EQ(ops.count("embed_distinct"), 1u);
  EXPECT_EQ(ops.count("distinct_linear"), 2u);
  EXPECT_EQ(ops.count("embed_fields"), 2u) << "once for whole(), once for fields without distinct ids";
}

// Whether a linear layer over the batch multiplies distinct ids.
bool by_distinct(Pass pass, int64_t item_dim = 0, int64_t rows = 40) {
  Builder build(1, DType::f64);
  std::vector<EmbeddingField> list = some_fields();
  list[3].dim = item_dim;
  const EmbeddingTables tables(list, 4, build);
  const Linear linear(tables.shape().width, 3, build);
  const Batch batch = some_batch();
  return ops_of([&] {
           linear.forward(Fields(tables, batch.ids.rows(0, rows), batch.values.rows(0, rows), pass));
         }).count("distinct_linear") > 0;
}

TEST(Fields, OnlyFusedTrainingReadsDistinctIds) {
  EXPECT_TRUE(by_distinct(training()));
  EXPECT_FALSE(by_distinct({})) << "a prediction";
  EXPECT_FALSE(by_distinct({.training = true, .fused = false}));
  EXPECT_FALSE(by_distinct({.training = true, .distinct = false}));
  EXPECT_FALSE(by_distinct(training(), 5)) << "fields of different dimensions";
  EXPECT_FALSE(by_distinct(training(), 0, 1)) << "as many distinct ids as rows";
}

TEST(Fields, ALinearLayerHasTheSameNumbersEitherWay) {
  Builder build(1, DType::f64);
  const EmbeddingTables tables(some_fields(), 4, build);
  const Linear linear(20, 3, build);
  const Batch batch = some_batch();
  std::vector<std::vector<double>> values[2];
  for (const bool distinct : {true, false}) {
    const Fields fields(tables, batch.ids, batch.values, {.training = true, .distinct = distinct});
    const Tensor y = linear.forward(fields);
    backward(y, ops::random_uniform(y.shape(), -1, 1, 9));
    auto& all = values[distinct];
    all.push_back(y.to_vector<double>());
    for (const Module* m : {static_cast<const Module*>(&tables), static_cast<const Module*>(&linear)}) {
      for (const Parameter& p : m->parameters()) {
        all.push_back(p.tensor.grad().to_vector<double>());
        Tensor(p.tensor).clear_grad();
      }
    }
  }
  ASSERT_EQ(values[0].size(), values[1].size());
  for (size_t t = 0; t < values[0].size(); ++t) {
    for (size_t i = 0; i < values[0][t].size(); ++i) EXPECT_NEAR(values[0][t][i], values[1][t][i], 1e-12) << t;
  }
}

// Gradients of several readers meet in the tables.
TEST(Fields, GradientsOfAllReadersAreSummed) {
  Builder build(1, DType::f64);
  const EmbeddingTables tables(some_fields(), 4, build);
  const Linear linear(20, 1, build);
  const Batch batch = some_batch();
  std::vector<Tensor> leaves;
  for (Parameter& p : tables.parameters()) {
    p.tensor.copy_from(ops::random_uniform(p.tensor.shape(), -1, 1, 50 + leaves.size()));
    leaves.push_back(p.tensor);
  }
  const ops::GradientReport report = ops::check_leaves(leaves, [&] {
    const Fields fields(tables, batch.ids, batch.values, training());
    const Tensor squares = ops::sum(ops::square(fields.flat()), 1, true);
    return ops::add(linear.forward(fields), ops::mul(squares, ops::sum(ops::sum(fields.whole(), 2), 1, true)));
  });
  EXPECT_TRUE(report.passed()) << report.deviation;
}

// Tables over some of the fields, of a dimension of their own, read the right columns of the same batch.
TEST(Fields, OtherTablesReadTheSameBatch) {
  Builder build(1, DType::f64);
  const EmbeddingTables tables(some_fields(), 4, build);
  const std::vector<EmbeddingField>& all = tables.shape().list;
  ASSERT_EQ(all.size(), 5u);
  const EmbeddingTables own({all[4], all[1], all[3]}, 2, build);
  const Batch batch = some_batch();
  const Fields fields(tables, batch.ids, batch.values, {});
  const Fields through = fields.through(own);
  EXPECT_FALSE(through.same_as(fields));
  ASSERT_EQ(through.whole().shape(), (Shape{40, 3, 2}));
  const std::vector<double> e = through.whole().to_vector<double>();
  const std::vector<Parameter> p = own.parameters();  // age [2, 1], tags [6, 2], item [6, 2]
  const std::vector<double> age = p[0].tensor.to_vector<double>(), item = p[2].tensor.to_vector<double>();
  for (int64_t b = 0; b < 40; ++b) {
    const double value = batch.values.data<double>()[2 * b + 1];
    const int32_t id = batch.ids.data<int32_t>()[5 * b + 4];
    for (size_t d = 0; d < 2; ++d) {
      EXPECT_NEAR(e[static_cast<size_t>(6 * b) + d], age[d] * value, 1e-15);
      EXPECT_EQ(e[static_cast<size_t>(6 * b) + 4 + d], item[static_cast<size_t>(2 * id) + d]);
    }
  }
}

TEST(Fields, EmbeddingsWithoutABatchHaveNoOtherTables) {
  Builder build(1, DType::f64);
  const EmbeddingTables tables(some_fields(), 4, build);
  const Fields given(ops::random_uniform({7, 5, 4}, -1, 1, 1));
  EXPECT_EQ(given.rows(), 7);
  EXPECT_EQ(given.flat().shape(), (Shape{7, 20}));
  EXPECT_EQ(given.distinct(), nullptr);
  EXPECT_THROW(given.through(tables), Error);
  EXPECT_THROW(Fields(tables, {}, {}, {}), Error);
}

}  // namespace
}  // namespace kdef::nn
