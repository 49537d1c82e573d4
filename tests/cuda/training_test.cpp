// Whole trainings, fixtures and the audit on the device.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "core/base/names.h"
#include "core/base/random.h"
#include "kdef/audit/audit.h"
#include "kdef/audit/benchmark.h"
#include "kdef/method/batch_feed.h"
#include "kdef/run/run.h"
#include "kdef/train/training_step.h"
#include "ops/check/gradcheck.h"
#include "tests/cuda/support.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

constexpr Device kCuda = test::kDevice;

struct Trained {
  TrainingResult result;
  std::vector<double> losses;  // of every step
};

Trained train_on(Device device, const ExperimentConfig& config, const std::string& directory, bool resume = false,
                 int64_t stop_after = -1) {
  Trained trained;
  RunOptions options;
  options.directory = directory;
  options.device = device;
  options.resume = resume;
  int64_t asked = 0;
  options.listener.step = [&](const TrainingListener::Step& s) { trained.losses.push_back(s.loss); };
  options.listener.stop_requested = [&] { return stop_after >= 0 && ++asked >= stop_after; };
  trained.result = run_experiment(config, options);
  return trained;
}

const std::vector<std::string> kSmall = {"epochs=2", "hidden_units=[12, 8]", "batch_size=700", "embedding_dim=4"};

std::vector<std::string> with(std::vector<std::string> settings, const std::vector<std::string>& more) {
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

// The same batches, masks and formulas: what differs is the order of sums and the last bits of exp and log, which
// training amplifies slowly.
TEST(CudaTraining, FollowsTheCpu) {
  const test::SmallExperiment e(3000);
  const ExperimentConfig config = e.load(kSmall);
  const Trained cpu = train_on(kCpu, config, e.directory / "cpu");
  const Trained cuda = train_on(kCuda, config, e.directory / "cuda");
  ASSERT_EQ(cpu.losses.size(), cuda.losses.size());
  for (size_t i = 0; i < cpu.losses.size(); ++i) {
    EXPECT_NEAR(cuda.losses[i], cpu.losses[i], 2e-4) << "step " << i + 1;
  }
  EXPECT_NEAR(cuda.result.test.ensemble["auc"], cpu.result.test.ensemble["auc"], 2e-3);
  EXPECT_NEAR(cuda.result.test.ensemble["logloss"], cpu.result.test.ensemble["logloss"], 2e-3);
  // What it leaves is read by either device.
  const kdef::Run on_cpu(e.directory / "cuda"), on_cuda(e.directory / "cuda", kCuda);
  const data::EncodedFile rows(data::test_file(cache_directory(config)));
  EXPECT_NEAR(evaluate(on_cpu.model(), rows, 100).ensemble["auc"], evaluate(on_cuda.model(), rows, 100).ensemble["auc"],
              1e-6);
}

TEST(CudaTraining, SameSeedSameBitsAndExactResume) {
  const test::SmallExperiment e(3000);
  const ExperimentConfig config = e.load(kSmall);
  train_on(kCuda, config, e.directory / "a");
  for (const int64_t stop : {1, 5}) {
    const std::string part = e.directory / cat("stopped", stop);
    EXPECT_TRUE(train_on(kCuda, config, part, false, stop).result.interrupted);
    EXPECT_FALSE(train_on(kCuda, config, part, true).result.interrupted);
    EXPECT_EQ(test::read_file(part + "/model.safetensors"), test::read_file(e.directory / "a/model.safetensors"));
    EXPECT_EQ(test::read_file(part + "/result.json"), test::read_file(e.directory / "a/result.json"));
    EXPECT_EQ(test::metrics_without_seconds(part), test::metrics_without_seconds(e.directory / "a"));
  }
}

TEST(CudaTraining, EveryEnsembleAndOptimizerFollowsTheCpu) {
  const test::SmallExperiment e(1500);
  std::vector<std::vector<std::string>> all = {{"shared_embedding=false"}, {"precision=bf16"}};
  for (const EnsembleType& type : ensemble_types()) {
    if (type.kind != EnsembleConfig().kind) all.push_back(overrides_for(type.kind));
  }
  for (const nn::OptimizerEntry& entry : nn::kOptimizers) {
    if (entry.kind != nn::OptimizerConfig().kind) all.push_back({cat("optimizer=", entry.name)});
  }
  for (const std::vector<std::string>& overrides : all) {
    const std::string settings = joined(overrides);
    // The CPU's bf16 needs another processor: its fp32 is what the device's is near. Widths that may be stacked.
    const bool rounded = settings == "precision=bf16";
    std::vector<std::string> common = with(kSmall, {"epochs=1", "batch_size=400"});
    if (rounded) common = with(common, {"hidden_units=[32, 16]", "embedding_dim=8"});
    const Trained cuda = train_on(kCuda, e.load(with(common, overrides)), e.directory / cat("cuda ", settings));
    const Trained cpu =
        train_on(kCpu, e.load(rounded ? common : with(common, overrides)), e.directory / cat("cpu ", settings));
    ASSERT_EQ(cpu.losses.size(), cuda.losses.size());
    for (size_t i = 0; i < cpu.losses.size(); ++i) {
      EXPECT_NEAR(cuda.losses[i], cpu.losses[i], rounded ? 5e-3 : 2e-4) << settings << ", step " << i + 1;
    }
  }
}

TEST(CudaTraining, DivergenceIsReportedAndNothingIsAppliedAfterIt) {
  const test::SmallExperiment e(1500);
  const ExperimentConfig config = e.load(with(kSmall, {"learning_rate=1e30", "batch_size=400"}));
  try {
    train_on(kCuda, config, e.directory / "run");
    FAIL() << "not noticed";
  } catch (const CheckError& error) {
    EXPECT_NE(std::string(error.what()).find("step "), std::string::npos) << error.what();
  }
}

// Losses and gradients of students side by side, against one after the other, which a tap on the layers asks for. In
// bf16 the two round the same numbers, except where another order of sums changes the rounding.
TEST(CudaTraining, StudentsSideBySideAgreeWithOneAfterTheOther) {
  const std::vector<nn::EmbeddingField> fields = {{"user", nn::EmbeddingField::Kind::id, 50, 1, 0, ""},
                                                  {"item", nn::EmbeddingField::Kind::id, 9, 1, 0, ""}};
  ModelInput input;
  const auto make_rows = [&](int64_t rows) {
    std::vector<int32_t> ids;
    std::vector<float> clicks;
    Random random(3);
    for (int64_t b = 0; b < rows; ++b) {
      ids.push_back(static_cast<int32_t>(1 + random.below(49)));
      ids.push_back(static_cast<int32_t>(random.below(9)));
      clicks.push_back(random.below(3) == 0);
    }
    input = {Tensor::from(ids, {rows, 2}, kCuda), {}, Tensor::from(clicks, {rows, 1}, kCuda)};
  };
  const auto gradients = [&](const EnsembleConfig& config, ops::GemmPrecision precision, bool side_by_side) {
    nn::Builder build(1, DType::f32, kCuda);
    Ensemble model(config, fields, build);
    for (nn::Parameter& p : model.parameters()) {
      if (p.embedding) p.tensor.copy_from(ops::random_uniform(p.tensor.shape(), -1, 1, 8).to(DType::f32));
    }
    const ops::PrecisionScope scope(precision);
    std::map<std::string, int> seen;
    const RecordObserver observer([&](const Recorded& r) { ++seen[r.op.name]; });
    nn::LayerTap tap;
    const nn::Pass pass{.training = true, .seed = 5, .step = 2, .tap = side_by_side ? nullptr : &tap};
    const Tensor loss = model.loss(model.forward(input, pass), input.labels);
    backward(loss);
    const bool stacks = side_by_side && (precision == ops::GemmPrecision::f32 || input.rows() >= 16);
    EXPECT_EQ(seen["stacked_linear"], stacks ? 1 : 0);
    EXPECT_EQ(seen["stacked_output"], stacks ? 1 : 0);
    std::map<std::string, std::vector<float>> all{{"loss", loss.to_vector<float>()}};
    for (const nn::Parameter& p : model.parameters()) all[p.name] = p.tensor.grad().to_vector<float>();
    for (const nn::Buffer& b : model.buffers()) all[b.name] = b.tensor.to_vector<float>();
    return all;
  };
  for (const EnsembleKind kind : {EnsembleKind::kdef, EnsembleKind::sum}) {
    for (const int64_t units : {32, 31}) {
      EnsembleConfig config;
      config.kind = kind;
      config.embedding_dim = 8;
      for (int i = 0; i < 3; ++i) {
        config.students.push_back({"mlp", {24, units}, {"relu", "relu"}, {0.2, 0.2}, true, false});
      }
      // 5 rows: fewer than products in bf16 are rounded for, which are then computed one after the other.
      for (const auto& [precision, rows] : {std::pair{ops::GemmPrecision::f32, int64_t{150}},
                                            {ops::GemmPrecision::bf16, int64_t{150}},
                                            {ops::GemmPrecision::f32, int64_t{5}},
                                            {ops::GemmPrecision::bf16, int64_t{5}}}) {
        make_rows(rows);
        const bool rounded = precision == ops::GemmPrecision::bf16;
        if (rounded && units % 8 != 0) continue;  // which are not stacked
        const auto want = gradients(config, precision, false), have = gradients(config, precision, true);
        for (const auto& [name, values] : want) {
          double size = 1e-2;  // at least: before batch norm, the gradient of a bias is rounding alone
          for (const float v : values) size = std::max(size, std::abs(static_cast<double>(v)));
          for (size_t i = 0; i < values.size(); ++i) {
            ASSERT_NEAR(have.at(name)[i], values[i], size * (rounded ? 1e-2 : 2e-5)) << name << " " << i;
          }
        }
      }
    }
  }
}

// Recorded and repeated, against op by op: the same bits. A batch size that never comes keeps a step from being
// recorded.
TEST(CudaTraining, RecordedStepsAreTheSameAsStepsOpByOp) {
  const std::vector<nn::EmbeddingField> fields = {{"user", nn::EmbeddingField::Kind::id, 50, 1, 0, ""},
                                                  {"tags", nn::EmbeddingField::Kind::average, 9, 3, 0, ""}};
  EnsembleConfig config;
  config.embedding_dim = 4;
  for (int i = 0; i < 3; ++i) config.students.push_back({"mlp", {8, 6}, {"relu", "relu"}, {0.2, 0.2}, true, false});
  std::vector<std::vector<std::vector<float>>> parameters;
  constexpr int64_t kRows = 70;
  for (const int64_t batch_size : {kRows, kRows + 1}) {
    nn::Builder build(1, DType::f32, kCuda);
    Ensemble model(config, fields, build);
    nn::OptimizerConfig settings;
    settings.embedding.l2 = 1e-3;
    nn::Optimizer optimizer(model.parameters(), settings);
    BatchFeed feed(kCuda, kRows, 4, 0);
    TrainingStep compute(model, optimizer, ops::GemmPrecision::f32, 5, batch_size);
    Random random(3);
    for (uint64_t step = 0; step < 6; ++step) {
      data::Batch batch;
      batch.rows = kRows;
      for (int64_t b = 0; b < kRows; ++b) {
        batch.ids.push_back(static_cast<int32_t>(1 + random.below(49)));
        for (int l = 0; l < 3; ++l) batch.ids.push_back(static_cast<int32_t>(random.below(9)));
        batch.labels.push_back(random.below(3) == 0);
      }
      if (step == 4) optimizer.set_learning_rate(1e-4);
      compute.run(feed.put(batch), step);
    }
    EXPECT_EQ(optimizer.take_records().size(), 6u);
    EXPECT_EQ(optimizer.steps(), 6);
    parameters.emplace_back();
    for (const nn::Parameter& p : model.parameters()) parameters.back().push_back(p.tensor.to_vector<float>());
    for (const nn::Buffer& b : model.buffers()) parameters.back().push_back(b.tensor.to_vector<float>());
  }
  EXPECT_EQ(parameters[0], parameters[1]);
}

TEST(CudaTraining, AnIdOutsideItsTableIsAnError) {
  const std::vector<nn::EmbeddingField> fields = {{"user", nn::EmbeddingField::Kind::id, 5, 1, 0, ""}};
  EnsembleConfig config;
  config.embedding_dim = 4;
  config.students.push_back({"mlp", {8}, {"relu"}, {0.0}, false, false});
  nn::Builder build(1, DType::f32, kCuda);
  const Ensemble model(config, fields, build);
  ModelInput input;
  input.ids = Tensor::from<int32_t>({1, 2, 7, 3}, {4, 1});
  EXPECT_THROW(predict(model, input), InputError);
  input.ids = Tensor::from<int32_t>({1, 2, 4, 3}, {4, 1});
  EXPECT_NO_THROW(predict(model, input));
}

class CudaFixtures : public testing::TestWithParam<std::string> {};
TEST_P(CudaFixtures, AreReplayed) {
  for (const bool fused : {true, false}) {
    const std::vector<FixtureRow> rows = audit_fixture(GetParam(), fused, kCuda);
    EXPECT_FALSE(rows.empty());
    for (const FixtureRow& r : rows) {
      EXPECT_TRUE(r.passed) << r.group << ": " << r.relative << " against " << r.tolerance << ", worst " << r.worst;
    }
  }
}
std::vector<std::string> fixtures() {
  std::vector<std::string> all;
  for (const auto& file : std::filesystem::directory_iterator("tests/fixtures")) {
    if (file.path().extension() == ".safetensors") all.push_back(file.path().string());
  }
  std::sort(all.begin(), all.end());
  return all;
}
INSTANTIATE_TEST_SUITE_P(Recorded, CudaFixtures, testing::ValuesIn(fixtures()), [](const auto& test) {
  std::string name = std::filesystem::path(test.param).stem().string();
  return name;
});

// Layers, networks, objectives, whole models; the ops are in ops_test.cpp.
TEST(CudaAudit, GradientsOfLayersAndModels) {
  const test::OpenMemory open;
  const ops::SampledChecks sampled(test::kCheckEvery);
  std::set<const OpInfo*> of_ops;
  for (const ops::OpCase& c : ops::op_cases()) of_ops.insert(c.info);
  int checked = 0;
  for (const AuditCase& c : audit_cases(kCuda)) {
    if (c.op != nullptr && of_ops.count(c.op) != 0) continue;
    const ops::GradientReport report = c.check();
    EXPECT_TRUE(report.passed()) << c.name << ", " << c.variant << ": " << report.worst;
    ++checked;
  }
  EXPECT_GT(checked, 40);
}

TEST(CudaAudit, EveryOpAgreesWithTheCpu) {
  for (const DeviceComparison& c : compare_devices(kCuda)) {
    EXPECT_TRUE(c.passed()) << c.op << ", " << c.variant << ": " << c.deviation;
  }
}

TEST(CudaAudit, TheTableHasEveryOp) {
  const test::OpenMemory open;
  const std::string table = device_markdown(kCuda);
  for (const ops::OpCase& c : ops::op_cases()) {
    EXPECT_NE(table.find(cat("| `", c.info->name, "` | yes | yes | ")), std::string::npos) << c.info->name;
  }
}

TEST(CudaBenchmark, TimesSteps) {
  StepBenchmarkConfig config;
  config.device = kCuda;
  config.batch_size = 64;
  config.seconds = 0;
  config.model.embedding_dim = 4;
  config.model.students.assign(2, {"mlp", {8}, {"relu"}, {0.1}, true, false});
  const StepBenchmark result = benchmark_step(data::shape_feature_map("default"), config);
  EXPECT_GT(result.step_ms, 0);
  EXPECT_GT(result.gemm_gflop, 0);
}

}  // namespace
}  // namespace kdef
