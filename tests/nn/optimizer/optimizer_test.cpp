#include "nn/optimizer/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/base/parallel.h"
#include "nn/embedding.h"
#include "nn/networks/network.h"
#include "ops/check/gradcheck.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

// Two tables, one shared by two fields, and a layer on top: row gradients, dense ones and rows never touched.
struct Model {
  explicit Model(const OptimizerConfig& config, DType dtype = DType::f64)
      : build(3, dtype),
        tables({{"a", EmbeddingField::Kind::categorical, 50, 1, 0, ""},
                {"b", EmbeddingField::Kind::sequence_average, 20, 2, 0, ""},
                {"c", EmbeddingField::Kind::categorical, 50, 1, 0, "a"}},
               3, build),
        head(9, 1, build),
        optimizer(all(), config) {
    for (const Parameter& p : all()) {
      Tensor t = p.tensor;
      t.copy_from(ops::random_uniform(t.shape(), -1, 1, 9).to(dtype));
    }
  }
  std::vector<Parameter> all() const {
    std::vector<Parameter> p = tables.parameters(), q = head.parameters();
    p.insert(p.end(), q.begin(), q.end());
    return p;
  }
  double backward_once(int step) {
    std::vector<int32_t> ids;
    for (int b = 0; b < 6; ++b) {
      for (int c = 0; c < 4; ++c) ids.push_back((b * 7 + c * 3 + step) % 19 + 1);
    }
    const Tensor e = tables.forward(Tensor::from(ids, {6, 4}), {});
    const Tensor loss = ops::mean(ops::square(head.forward(ops::reshape(e, {6, 9}))));
    backward(loss);
    return loss.item();
  }
  Builder build;
  EmbeddingTables tables;
  Linear head;
  Optimizer optimizer;
};

void expect_equal_parameters(const Model& a, const Model& b, double tolerance) {
  const auto pa = a.all(), pb = b.all();
  for (size_t i = 0; i < pa.size(); ++i) {
    const auto x = pa[i].tensor.to_vector<double>(), y = pb[i].tensor.to_vector<double>();
    for (size_t j = 0; j < x.size(); ++j) ASSERT_NEAR(x[j], y[j], tolerance) << pa[i].name << " " << j;
  }
}

class AdamTwins : public testing::TestWithParam<OptimizerConfig> {};

TEST_P(AdamTwins, FusedAgreesWithComposed) {
  Model fused(GetParam()), composed(GetParam());
  for (int step = 0; step < 6; ++step) {
    fused.backward_once(step);
    composed.backward_once(step);
    const StepRecord a = fused.optimizer.step(), b = composed_step(composed.optimizer);
    EXPECT_NEAR(a.gradient_norm, b.gradient_norm, 1e-12 * b.gradient_norm);
    EXPECT_NEAR(a.regularization, b.regularization, 1e-12);
    expect_equal_parameters(fused, composed, 1e-13);
  }
}

OptimizerConfig settings(double l1, double l2, double net, double clip) {
  OptimizerConfig c;
  c.learning_rate = 0.01;
  c.embedding = {l1, l2};
  c.net = {0, net};
  c.clip_norm = clip;
  return c;
}
INSTANTIATE_TEST_SUITE_P(Settings, AdamTwins,
                         testing::Values(settings(0, 0, 0, 0), settings(0, 0.1, 0, 10), settings(0.05, 0.1, 0.02, 10),
                                         settings(0, 0.1, 0, 0.05)));

TEST(Adam, DenseMovesRowsOutsideTheBatchAndLazyDoesNot) {
  for (const bool lazy : {false, true}) {
    OptimizerConfig config = settings(0, 0.1, 0, 10);
    config.kind = lazy ? OptimizerKind::lazy_adam : OptimizerKind::adam;
    Model model(config);
    const Tensor table = model.all()[0].tensor;
    const double before = table.data<double>()[40 * 3], in_batch = table.data<double>()[1 * 3];
    model.backward_once(0);
    model.optimizer.step();
    EXPECT_EQ(table.data<double>()[40 * 3] == before, lazy);
    EXPECT_NE(table.data<double>()[1 * 3], in_batch);
  }
}

// The visited rows hold more elements than a piece of work, and pieces end within rows.
TEST(Adam, LazyMovesTheRowsOfTheBatchAsDenseDoes) {
  constexpr int64_t kRows = 30000, kIds = 20000, kDim = 3;
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < kIds; ++i) ids.push_back(static_cast<int32_t>(1 + i * 7 % (kRows - 1)));
  const std::set<int32_t> in_batch(ids.begin(), ids.end());
  const auto step_once = [&](OptimizerKind kind, StepRecord& report) {
    Builder build(3, DType::f64);
    const EmbeddingTables tables({{"id", EmbeddingField::Kind::categorical, kRows}}, kDim, build);
    OptimizerConfig config = settings(0.01, 0.1, 0, 0);
    config.kind = kind;
    Optimizer optimizer(tables.parameters(), config);
    backward(ops::sum(ops::square(tables.forward(Tensor::from(ids, {kIds, 1}), {}))));
    report = optimizer.step();
    return tables.parameters()[0].tensor.to_vector<double>();
  };
  Builder build(3, DType::f64);
  const EmbeddingTables untouched({{"id", EmbeddingField::Kind::categorical, kRows}}, kDim, build);
  const std::vector<double> before = untouched.parameters()[0].tensor.to_vector<double>();
  StepRecord dense_report, lazy_report;
  const std::vector<double> dense = step_once(OptimizerKind::adam, dense_report);
  const std::vector<double> lazy = step_once(OptimizerKind::lazy_adam, lazy_report);
  double penalty = 0;
  for (int32_t row = 0; row < kRows; ++row) {
    for (int64_t j = 0; j < kDim; ++j) {
      const size_t at = static_cast<size_t>(row * kDim + j);
      const bool visited = in_batch.count(row) > 0;
      ASSERT_EQ(lazy[at], visited ? dense[at] : before[at]) << "row " << row;
      if (visited) penalty += 0.01 * std::abs(before[at]) + 0.05 * before[at] * before[at];
    }
  }
  EXPECT_NEAR(lazy_report.regularization, penalty, 1e-12 * penalty);
  EXPECT_LT(lazy_report.gradient_norm, dense_report.gradient_norm);
}

TEST(Optimizers, FollowTheirFormulas) {
  for (const OptimizerKind kind : {OptimizerKind::sgd, OptimizerKind::adagrad}) {
    Builder build(0, DType::f64);
    Linear layer(1, 1, build, false);
    Tensor w = layer.parameters()[0].tensor;
    w.fill(2);
    OptimizerConfig config;
    config.kind = kind;
    config.learning_rate = 0.1;
    config.clip_norm = 0;
    Optimizer optimizer(layer.parameters(), config);
    double expected = 2, squares = 0;
    for (int step = 0; step < 3; ++step) {
      backward(ops::sum(ops::square(w)));
      optimizer.step();
      const double g = 2 * expected;
      squares += g * g;
      expected -= kind == OptimizerKind::sgd ? 0.1 * g : 0.1 * g / (std::sqrt(squares) + 1e-10);
      EXPECT_NEAR(w.item(), expected, 1e-14);
    }
  }
}

TEST(Optimizers, PaddingRowStaysZero) {
  Builder build(0);
  EmbeddingTables tables({{"a", EmbeddingField::Kind::sequence_sum, 5, 2, 0, ""}}, 2, build);
  Optimizer optimizer(tables.parameters(), settings(0, 0.1, 0, 10));
  for (int step = 0; step < 3; ++step) {
    backward(ops::sum(tables.forward(Tensor::from<int32_t>({0, 1, 0, 0}, {2, 2}), {})));
    optimizer.step();
  }
  EXPECT_EQ(tables.parameters()[0].tensor.to_vector<float>()[0], 0);
  EXPECT_EQ(tables.parameters()[0].tensor.to_vector<float>()[1], 0);
}

TEST(Optimizers, DoNotApplyAGradientThatIsNotFinite) {
  Builder build(0, DType::f64);
  Linear layer(1, 1, build, false);
  Tensor w = layer.parameters()[0].tensor;
  w.fill(2);
  Optimizer optimizer(layer.parameters(), {});
  backward(ops::sum(ops::scale(w, INFINITY)));
  EXPECT_FALSE(std::isfinite(optimizer.step().gradient_norm));
  EXPECT_EQ(w.item(), 2);
}

TEST(Optimizers, SameBitsForAnyNumberOfThreads) {
  std::vector<std::vector<float>> first;
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    Model model(settings(0, 0.1, 0, 10), DType::f32);
    for (int step = 0; step < 4; ++step) {
      model.backward_once(step);
      model.optimizer.step();
    }
    std::vector<std::vector<float>> now;
    for (const Parameter& p : model.all()) now.push_back(p.tensor.to_vector<float>());
    if (first.empty()) first = now;
    EXPECT_EQ(now, first);
  }
}

TEST(Optimizers, AreNamed) {
  EXPECT_EQ(parse_optimizer("Adam"), OptimizerKind::adam);
  EXPECT_THROW(parse_optimizer("adamw"), InputError);
}

}  // namespace
}  // namespace kdef::nn
