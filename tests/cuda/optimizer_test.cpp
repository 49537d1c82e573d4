#include "nn/optimizer/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/cuda/runtime.h"
#include "tests/cuda/support.h"

namespace kdef::nn {
namespace {

using test::kDevice;

/// The accepted |device - cpu| of parameters and state below 2 after a few steps, and the accepted relative difference
/// of records: a few roundings per step.
double tolerance_of(DType dtype) { return dtype == DType::f32 ? 1e-6 : 1e-13; }

// The parameters of the tests. Some have more than the 8192 elements that a block of the device takes.
struct Kind {
  const char* name;
  Shape shape;
  bool embedding;
  int parts;  // the number of row parts of its gradient; 0: a dense gradient; -1: no gradient
};
const std::vector<Kind> kKinds{{"weight", {70, 130}, false, 0}, {"bias", {5}, false, 0},
                               {"table", {3000, 4}, true, 1},   {"odd", {3000, 3}, true, 1},
                               {"numeric", {4, 1}, true, 0},    {"twice", {30, 4}, true, 2},
                               {"idle", {20, 4}, true, -1}};

Tensor uniform(const Shape& shape, DType dtype, uint64_t seed) {
  return ops::random_uniform(shape, -1, 1, seed).to(dtype);
}

// Ids of a part at a step. Two steps in a row never have the same number of ids.
std::vector<int64_t> rows_at(int step, int part, int64_t rows) {
  std::vector<int64_t> ids;
  for (int64_t id = 1 + part + step % 3; id < rows; id += 3 + step % 2) ids.push_back(id);
  return ids;
}

// A gradient by rows. On the device it has more rows than are used, and the values of the unused rows are NaN.
RowGradient row_gradient(const Kind& kind, int step, int part, DType dtype, Device device) {
  std::vector<int64_t> ids = rows_at(step, part, kind.shape[0]);
  const int64_t used = static_cast<int64_t>(ids.size()), width = kind.shape[1];
  const Tensor values = uniform({used, width}, dtype, static_cast<uint64_t>(1000 * step + 10 * part + 7));
  if (device.is_cpu()) return {Tensor::from(ids, {used}), values};
  ids.resize(static_cast<size_t>(kind.shape[0]), kNoRow);
  Tensor padded = Tensor::full({kind.shape[0], width}, std::nan(""), dtype);
  padded.rows(0, used).copy_from(values);
  return {Tensor::from(ids, {kind.shape[0]}, device), padded.to(device)};
}

struct Model {
  Model(const OptimizerConfig& config, DType type, Device where, const std::vector<Kind>& of = kKinds)
      : kinds(of), dtype(type), device(where), parameters(make()), optimizer(parameters, config) {}

  void add_gradients(int step) const {
    for (size_t i = 0; i < kinds.size(); ++i) {
      Gradient& g = parameters[i].tensor.gradient();
      if (kinds[i].parts == 0) {
        g.add(uniform(kinds[i].shape, dtype, static_cast<uint64_t>(1000 * step) + i).to(device));
      }
      for (int part = 0; part < kinds[i].parts; ++part) g.add(row_gradient(kinds[i], step, part, dtype, device));
    }
  }
  StepRecord step(int number) {
    add_gradients(number);
    return optimizer.step();
  }
  // The parameters and then the state, on the host.
  std::vector<std::vector<double>> values() const {
    std::vector<std::vector<double>> all;
    const auto add = [&](const Tensor& t) { all.push_back(t.detach().to(kCpu).to(DType::f64).to_vector<double>()); };
    for (const Parameter& p : parameters) add(p.tensor);
    for (const Buffer& b : optimizer.state()) add(b.tensor);
    return all;
  }
  std::vector<Parameter> make() const {
    std::vector<Parameter> all;
    for (size_t i = 0; i < kinds.size(); ++i) {
      Tensor t = uniform(kinds[i].shape, dtype, 50 + i).to(device);
      t.set_requires_grad();
      all.push_back({kinds[i].name, t, kinds[i].embedding});
    }
    return all;
  }

  std::vector<Kind> kinds;
  DType dtype;
  Device device;
  std::vector<Parameter> parameters;
  Optimizer optimizer;
};

void expect_close(const Model& have, const Model& want) {
  const auto a = have.values(), b = want.values();
  ASSERT_EQ(a.size(), b.size());
  for (size_t t = 0; t < a.size(); ++t) {
    ASSERT_EQ(a[t].size(), b[t].size());
    for (size_t i = 0; i < a[t].size(); ++i) {
      ASSERT_NEAR(a[t][i], b[t][i], tolerance_of(have.dtype)) << "tensor " << t << " element " << i;
    }
  }
}

void expect_close(const StepRecord& have, const StepRecord& want, DType dtype) {
  const double tolerance = tolerance_of(dtype);
  EXPECT_EQ(have.applied, want.applied);
  EXPECT_EQ(have.loss, want.loss);
  EXPECT_NEAR(have.regularization, want.regularization, tolerance * std::max(1.0, want.regularization));
  EXPECT_NEAR(have.gradient_norm, want.gradient_norm, tolerance * want.gradient_norm);
}

OptimizerConfig settings(OptimizerKind kind, double l1 = 0, double l2 = 0, double clip = 0) {
  OptimizerConfig c;
  c.kind = kind;
  c.learning_rate = 0.01;
  c.embedding = {l1, l2};
  c.net = {2 * l1, l2 / 2};
  c.clip_norm = clip;
  return c;
}

// On a device lazy Adam accepts one part per table.
std::vector<Kind> kinds_for(OptimizerKind kind) {
  std::vector<Kind> kinds = kKinds;
  if (kind == OptimizerKind::lazy_adam) {
    for (Kind& k : kinds) k.parts = std::min(k.parts, 1);
  }
  return kinds;
}

class EveryOptimizer : public testing::TestWithParam<OptimizerEntry> {};
INSTANTIATE_TEST_SUITE_P(Table, EveryOptimizer, testing::ValuesIn(kOptimizers),
                         [](const auto& entry) { return std::string(entry.param.name); });

constexpr double kNeverClips = 1e6, kClips = 0.5;

TEST_P(EveryOptimizer, AgreesWithTheCpu) {
  const OptimizerKind kind = GetParam().kind;
  for (const OptimizerConfig& config :
       {settings(kind), settings(kind, 0, 0.1, kNeverClips), settings(kind, 0.05, 0.1, kClips)}) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      SCOPED_TRACE(cat(name_of(dtype), ", l1 ", config.embedding.l1, ", clipped at ", config.clip_norm));
      Model device(config, dtype, kDevice, kinds_for(kind)), cpu(config, dtype, kCpu, kinds_for(kind));
      const auto before = cpu.values();
      for (int step = 0; step < 5; ++step) {
        const StepRecord have = device.step(step), want = cpu.step(step);
        expect_close(have, want, dtype);
        EXPECT_TRUE(have.applied);
        EXPECT_GT(have.gradient_norm, kClips);
        EXPECT_LT(have.gradient_norm, kNeverClips);
        EXPECT_FALSE(device.parameters[0].tensor.grad().defined()) << "gradients are cleared";
      }
      expect_close(device, cpu);
      EXPECT_NE(cpu.values(), before);
      EXPECT_EQ(device.optimizer.steps(), 5);
    }
  }
}

TEST_P(EveryOptimizer, RepeatsARecordedStepBitForBit) {
  const OptimizerKind kind = GetParam().kind;
  const OptimizerConfig config = settings(kind, 0.01, 0.1, kClips);
  const double rates[] = {0.01, 0.02, 0.005, 0.05, 0.001};
  const std::vector<Kind> kinds = kinds_for(kind);
  Model eager(config, DType::f32, kDevice, kinds), recorded(config, DType::f32, kDevice, kinds);
  const auto loss_of = [](int step) { return Tensor::full({1}, 0.5 + step, DType::f32, kDevice); };
  for (int step = 0; step < 5; ++step) {
    eager.optimizer.set_learning_rate(rates[step]);
    eager.add_gradients(step);
    eager.optimizer.launch_step(loss_of(step));
  }

  // A recorded step reads the same memory each time it is repeated; `load` fills the memory for a step.
  Model inputs(config, DType::f32, kDevice, kinds);
  inputs.add_gradients(0);
  Tensor loss = loss_of(0);
  const auto load = [&](int step) {
    Model next(config, DType::f32, kDevice, kinds);
    next.add_gradients(step);
    for (size_t i = 0; i < kinds.size(); ++i) {
      const Gradient &to = inputs.parameters[i].tensor.gradient(), &from = next.parameters[i].tensor.gradient();
      if (to.dense_part().defined()) Tensor(to.dense_part()).copy_from(from.dense_part());
      for (size_t part = 0; part < to.row_parts().size(); ++part) {
        Tensor(to.row_parts()[part].ids).copy_from(from.row_parts()[part].ids);
        Tensor(to.row_parts()[part].values).copy_from(from.row_parts()[part].values);
      }
    }
    loss.copy_from(loss_of(step));
  };
  cuda::Graph graph;
  recorded.optimizer.set_learning_rate(rates[0]);
  graph.record([&] {
    for (size_t i = 0; i < kinds.size(); ++i) {
      recorded.parameters[i].tensor.gradient().add(inputs.parameters[i].tensor.gradient());
    }
    recorded.optimizer.launch_step(loss);
  });
  for (int step = 1; step < 5; ++step) {
    load(step);
    recorded.optimizer.set_learning_rate(rates[step]);
    graph.launch();
  }
  EXPECT_EQ(recorded.values(), eager.values());
  EXPECT_EQ(recorded.optimizer.steps(), 5);
  const auto have = recorded.optimizer.take_records(), want = eager.optimizer.take_records();
  ASSERT_EQ(have.size(), 5u);
  ASSERT_EQ(want.size(), 5u);
  for (size_t s = 0; s < 5; ++s) {
    EXPECT_EQ(have[s].loss, 0.5 + static_cast<double>(s));
    EXPECT_EQ(have[s].gradient_norm, want[s].gradient_norm);
    EXPECT_EQ(have[s].regularization, want[s].regularization);
    EXPECT_TRUE(have[s].applied);
  }
}

TEST_P(EveryOptimizer, ResumesBitForBit) {
  const OptimizerConfig config = settings(GetParam().kind, 0.01, 0.1, kClips);
  const std::vector<Kind> kinds = kinds_for(GetParam().kind);
  Model straight(config, DType::f32, kDevice, kinds), first(config, DType::f32, kDevice, kinds);
  for (int step = 0; step < 5; ++step) straight.step(step);
  for (int step = 0; step < 3; ++step) first.step(step);

  Model second(config, DType::f32, kDevice, kinds);
  for (size_t i = 0; i < kinds.size(); ++i) {
    second.parameters[i].tensor.copy_from(first.parameters[i].tensor.detach().to(kCpu));
  }
  std::vector<Buffer> to = second.optimizer.state();
  const std::vector<Buffer> from = first.optimizer.state();
  for (size_t i = 0; i < to.size(); ++i) to[i].tensor.copy_from(from[i].tensor.to(kCpu));
  second.optimizer.set_steps(first.optimizer.steps());
  for (int step = 3; step < 5; ++step) second.step(step);
  EXPECT_EQ(second.values(), straight.values());
  EXPECT_EQ(second.optimizer.steps(), 5);
}

// A step that is not finite changes nothing, and the steps after it change nothing until its record has been taken.
TEST_P(EveryOptimizer, AStepThatIsNotFiniteStopsTheNextUntilItsRecordIsTaken) {
  const double kBad[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()};
  for (const double bad : kBad) {
    for (const bool in_loss : {false, true}) {
      for (const bool in_rows : {false, true}) {
        if (in_loss && in_rows) continue;
        SCOPED_TRACE(cat(bad, in_loss ? " in the loss" : in_rows ? " in a row" : " in a dense gradient"));
        Model model(settings(GetParam().kind, 0, 0.1, kClips), DType::f32, kDevice, kinds_for(GetParam().kind));
        model.step(0);
        const auto before = model.values();
        model.add_gradients(1);
        const Tensor loss = Tensor::full({1}, in_loss ? bad : 1.0, DType::f32, kDevice);
        if (!in_loss) {
          const Gradient& g = model.parameters[in_rows ? 2 : 0].tensor.gradient();
          Tensor broken = in_rows ? g.row_parts()[0].values : g.dense_part();
          broken.alias({broken.numel()}).rows(1, 1).fill(bad);
        }
        model.optimizer.launch_step(loss);
        model.add_gradients(2);
        model.optimizer.launch_step(Tensor::full({1}, 1, DType::f32, kDevice));
        EXPECT_EQ(model.values(), before);
        EXPECT_EQ(model.optimizer.steps(), 1);
        const std::vector<StepRecord> records = model.optimizer.take_records();
        ASSERT_EQ(records.size(), 2u);
        EXPECT_FALSE(records[0].applied);
        EXPECT_EQ(std::isfinite(records[0].loss), !in_loss);
        EXPECT_EQ(std::isfinite(records[0].gradient_norm), in_loss);
        EXPECT_FALSE(records[1].applied);
        EXPECT_TRUE(std::isfinite(records[1].gradient_norm));

        EXPECT_TRUE(model.step(3).applied);
        EXPECT_EQ(model.optimizer.steps(), 2);
        EXPECT_NE(model.values(), before);
      }
    }
  }
}

TEST_P(EveryOptimizer, TheFusedStepAgreesWithTheComposedOne) {
  const OptimizerConfig config = settings(GetParam().kind, 0.05, 0.1, kClips);
  const std::vector<Kind> kinds = kinds_for(GetParam().kind);
  Model fused(config, DType::f64, kDevice, kinds), composed(config, DType::f64, kDevice, kinds);
  for (int step = 0; step < 3; ++step) {
    composed.add_gradients(step);
    expect_close(fused.step(step), composed_step(composed.optimizer), DType::f64);
  }
  expect_close(fused, composed);
}

TEST(OptimizerOnDevice, GivesTheGradientsThatItWouldApply) {
  const OptimizerConfig config = settings(OptimizerKind::adam, 0.05, 0.1, kClips);
  Model device(config, DType::f64, kDevice), cpu(config, DType::f64, kCpu);
  device.add_gradients(0);
  cpu.add_gradients(0);
  const auto have = device.optimizer.clipped_gradients(), want = cpu.optimizer.clipped_gradients();
  ASSERT_EQ(have.size(), want.size());
  for (size_t t = 0; t < have.size(); ++t) {
    const auto a = have[t].to_vector<double>(), b = want[t].to_vector<double>();
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-13) << "tensor " << t << " element " << i;
  }
}

// The gradients are at other addresses in every step, for more steps than the device keeps arguments of.
TEST(OptimizerOnDevice, FollowsGradientsThatMove) {
  const OptimizerConfig config = settings(OptimizerKind::adam, 0, 0.1, kClips);
  const std::vector<Kind> kinds{{"weight", {8, 3}, false, 0}, {"table", {50, 2}, true, 1}};
  Model device(config, DType::f64, kDevice, kinds), cpu(config, DType::f64, kCpu, kinds);
  std::vector<Gradient> kept;
  for (int step = 0; step < 40; ++step) {
    device.add_gradients(step);
    for (const Parameter& p : device.parameters) kept.push_back(p.tensor.gradient());
    device.optimizer.launch_step();
    cpu.step(step);
  }
  EXPECT_EQ(device.optimizer.take_records().size(), 40u);
  expect_close(device, cpu);
}

TEST(OptimizerOnDevice, KeepsTheRecordsOf64Steps) {
  const std::vector<Kind> kinds{{"bias", {3}, false, 0}};
  Model model(settings(OptimizerKind::sgd), DType::f32, kDevice, kinds);
  const auto launch = [&](int count) {
    for (int i = 0; i < count; ++i) {
      model.add_gradients(0);
      model.optimizer.launch_step(Tensor::full({1}, i, DType::f32, kDevice));
    }
  };
  launch(10);
  EXPECT_EQ(model.optimizer.take_records().size(), 10u);
  launch(64);
  const std::vector<StepRecord> records = model.optimizer.take_records();
  ASSERT_EQ(records.size(), 64u);
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(records[i].loss, static_cast<double>(i));
  EXPECT_TRUE(model.optimizer.take_records().empty());
  launch(65);
  EXPECT_THROW(model.optimizer.take_records(), Error);
}

TEST(OptimizerOnDevice, LazyAdamRefusesATableWithSeveralParts) {
  Model model(settings(OptimizerKind::lazy_adam), DType::f32, kDevice, {{"twice", {30, 4}, true, 2}});
  model.add_gradients(0);
  EXPECT_THROW(model.optimizer.launch_step(), Error);
}

}  // namespace
}  // namespace kdef::nn
