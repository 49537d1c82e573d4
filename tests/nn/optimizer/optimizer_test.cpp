#include "nn/optimizer/optimizer.h"

#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "core/base/parallel.h"
#include "nn/embedding.h"
#include "nn/networks/network.h"
#include "ops/check/gradcheck.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

// Two tables, of which one is shared by two fields, and a layer on top: there are gradients by rows, dense gradients,
// and rows that no batch touches.
struct Model {
  explicit Model(const OptimizerConfig& config, DType dtype = DType::f64)
      : build(3, dtype),
        tables({{"a", EmbeddingField::Kind::id, 50, 1, 0, ""},
                {"b", EmbeddingField::Kind::average, 20, 2, 0, ""},
                {"c", EmbeddingField::Kind::id, 50, 1, 0, "a"}},
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

OptimizerConfig settings(double l1, double l2, double net, double clip, OptimizerKind kind = OptimizerKind::adam) {
  OptimizerConfig c;
  c.kind = kind;
  c.learning_rate = 0.01;
  c.embedding = {l1, l2};
  c.net = {0, net};
  c.clip_norm = clip;
  return c;
}

class EveryOptimizer : public testing::TestWithParam<OptimizerEntry> {};
INSTANTIATE_TEST_SUITE_P(Table, EveryOptimizer, testing::ValuesIn(kOptimizers),
                         [](const auto& entry) { return std::string(entry.param.name); });

TEST_P(EveryOptimizer, FusedAgreesWithComposed) {
  const OptimizerKind kind = GetParam().kind;
  constexpr double kNever = 10, kAlways = 0.05;  // clips at this norm
  for (const OptimizerConfig& config : {settings(0, 0, 0, 0, kind), settings(0, 0.1, 0, kNever, kind),
                                        settings(0.05, 0.1, 0.02, kNever, kind), settings(0, 0.1, 0, kAlways, kind)}) {
    SCOPED_TRACE(cat("l1 ", config.embedding.l1, ", l2 ", config.embedding.l2, ", clipped at ", config.clip_norm));
    Model fused(config), composed(config);
    for (int step = 0; step < 6; ++step) {
      fused.backward_once(step);
      composed.backward_once(step);
      const StepRecord a = fused.optimizer.step(), b = composed_step(composed.optimizer);
      EXPECT_NEAR(a.gradient_norm, b.gradient_norm, 1e-12 * b.gradient_norm);
      EXPECT_NEAR(a.regularization, b.regularization, 1e-12);
      expect_equal_parameters(fused, composed, 1e-13);
    }
    const std::vector<Buffer> a = fused.optimizer.state(), b = composed.optimizer.state();
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      const auto x = a[i].tensor.to_vector<double>(), y = b[i].tensor.to_vector<double>();
      for (size_t j = 0; j < x.size(); ++j) ASSERT_NEAR(x[j], y[j], 1e-13) << a[i].name << " " << j;
    }
  }
}

TEST_P(EveryOptimizer, HasANameAndStateByTheTable) {
  std::string upper = GetParam().name;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(parse_optimizer(upper), GetParam().kind);
  Builder build(0);
  Linear layer(2, 3, build);
  const Optimizer optimizer(layer.parameters(), settings(0, 0, 0, 0, GetParam().kind));
  std::vector<std::string> names, expected;
  for (const Buffer& b : optimizer.state()) {
    names.push_back(b.name);
    EXPECT_EQ(b.tensor.numel(), b.name.ends_with("weight") ? 6 : 3);
  }
  for (const char* parameter : {"weight", "bias"}) {
    for (const char* state : GetParam().state) expected.push_back(cat(state, ".", parameter));
  }
  EXPECT_EQ(names, expected);
}

TEST(Optimizers, AnUnknownNameIsRefusedWithTheKnownOnes) {
  try {
    parse_optimizer("adamx");
    FAIL() << "not refused";
  } catch (const InputError& error) {
    for (const OptimizerEntry& entry : kOptimizers) {
      EXPECT_NE(std::string(error.what()).find(entry.name), std::string::npos) << error.what();
    }
  }
}

// Checkpoints of earlier versions are read by these names.
TEST(Optimizers, NamesOfTheStateStay) {
  const auto state_of = [](OptimizerKind kind) {
    std::string text;
    for (const char* name : entry_of(kind).state) text += cat(name, " ");
    return text;
  };
  EXPECT_EQ(state_of(OptimizerKind::adam), "m v ");
  EXPECT_EQ(state_of(OptimizerKind::lazy_adam), "m v ");
  EXPECT_EQ(state_of(OptimizerKind::sgd), "");
  EXPECT_EQ(state_of(OptimizerKind::adagrad), "v ");
}

// A table whose gradient has three parts: the rows of an id are added, and the step is the step of their sum.
TEST_P(EveryOptimizer, AddsTheRowsOfAnIdThatHasSeveral) {
  const auto step_with = [&](const std::vector<RowGradient>& parts) {
    Tensor table = ops::random_uniform({6, 2}, -1, 1, 4).to(DType::f64);
    table.set_requires_grad();
    Optimizer optimizer({{"table", table, true}}, settings(0.01, 0.1, 0, 1, GetParam().kind));
    for (const RowGradient& part : parts) table.gradient().add(part);
    optimizer.step();
    return table.to_vector<double>();
  };
  const auto rows = [](const std::vector<int64_t>& ids, const std::vector<double>& values) {
    const int64_t n = static_cast<int64_t>(ids.size());
    return RowGradient{Tensor::from(ids, {n}), Tensor::from(values, {n, 2})};
  };
  const auto parts = step_with({rows({1, 4}, {1, 2, 3, 4}), rows({0, 1}, {5, 6, 7, 8}), rows({1, 5}, {-2, 1, 0, 3})});
  EXPECT_EQ(parts, step_with({rows({0, 1, 4, 5}, {5, 6, 6, 11, 3, 4, 0, 3})}));
}

TEST(Adam, DenseMovesRowsOutsideTheBatchAndLazyDoesNot) {
  for (const bool lazy : {false, true}) {
    Model model(settings(0, 0.1, 0, 10, lazy ? OptimizerKind::lazy_adam : OptimizerKind::adam));
    const Tensor table = model.all()[0].tensor;
    const double before = table.data<double>()[40 * 3], in_batch = table.data<double>()[1 * 3];
    model.backward_once(0);
    model.optimizer.step();
    EXPECT_EQ(table.data<double>()[40 * 3] == before, lazy);
    EXPECT_NE(table.data<double>()[1 * 3], in_batch);
  }
}

// The visited rows hold more elements than one piece of parallel work, and pieces end within rows.
TEST(Adam, LazyMovesTheRowsOfTheBatchAsDenseDoes) {
  constexpr int64_t kRows = 30000, kIds = 20000, kDim = 3;
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < kIds; ++i) ids.push_back(static_cast<int32_t>(1 + i * 7 % (kRows - 1)));
  const std::set<int32_t> in_batch(ids.begin(), ids.end());
  const auto step_once = [&](OptimizerKind kind, StepRecord& report) {
    Builder build(3, DType::f64);
    const EmbeddingTables tables({{"id", EmbeddingField::Kind::id, kRows}}, kDim, build);
    Optimizer optimizer(tables.parameters(), settings(0.01, 0.1, 0, 0, kind));
    backward(ops::sum(ops::square(tables.forward(Tensor::from(ids, {kIds, 1}), {}))));
    report = optimizer.step();
    return tables.parameters()[0].tensor.to_vector<double>();
  };
  Builder build(3, DType::f64);
  const EmbeddingTables untouched({{"id", EmbeddingField::Kind::id, kRows}}, kDim, build);
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

// The steps of torch.optim.AdamW, written as its documentation does, in double precision.
TEST(AdamW, FollowsItsFormulaAndKeepsTheDecayOutOfTheGradient) {
  constexpr double kRate = 0.1, kDecay = 0.3, kBeta1 = 0.9, kBeta2 = 0.999, kEps = 1e-8;
  Builder build(0, DType::f64);
  Linear layer(1, 1, build, false);
  Tensor w = layer.parameters()[0].tensor;
  w.fill(2);
  OptimizerConfig config = settings(0, 0, kDecay, 0, OptimizerKind::adamw);
  config.learning_rate = kRate;
  Optimizer optimizer(layer.parameters(), config);
  double theta = 2, m = 0, v = 0;
  for (int t = 1; t <= 5; ++t) {
    backward(ops::sum(ops::square(w)));
    const StepRecord record = optimizer.step();
    const double g = 2 * theta;
    EXPECT_NEAR(record.gradient_norm, std::abs(g), 1e-13);
    EXPECT_EQ(record.regularization, 0);
    theta = theta - kRate * kDecay * theta;
    m = kBeta1 * m + (1 - kBeta1) * g;
    v = kBeta2 * v + (1 - kBeta2) * g * g;
    const double m_hat = m / (1 - std::pow(kBeta1, t)), v_hat = v / (1 - std::pow(kBeta2, t));
    theta = theta - kRate * m_hat / (std::sqrt(v_hat) + kEps);
    EXPECT_NEAR(w.item(), theta, 1e-14);
  }
}

TEST(Optimizers, PaddingRowStaysZero) {
  Builder build(0);
  EmbeddingTables tables({{"a", EmbeddingField::Kind::sum, 5, 2, 0, ""}}, 2, build);
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

}  // namespace
}  // namespace kdef::nn
