// A group of processes, simulated by threads, trains what one process trains.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/base/random.h"
#include "core/io/safetensors.h"
#include "kdef/train/run_files.h"
#include "kdef/train/training_step.h"
#include "nn/networks/registry.h"
#include "tests/kdef/serve/model.h"
#include "tests/kdef/support.h"
#include "tests/support/thread_group.h"

namespace kdef {
namespace {

// ---- Steps, in fp64.

EnsembleConfig small_ensemble(EnsembleKind kind = EnsembleKind::kdef, bool fused = true, bool batch_norm = false) {
  EnsembleConfig config;
  config.kind = kind;
  config.fused = fused;
  config.embedding_dim = 4;
  for (int i = 0; i < 3; ++i) {
    config.students.push_back({.network = "mlp",
                               .hidden_units = {8, 5},
                               .hidden_activations = {"relu", "relu"},
                               .dropout = {0.2, 0.1},
                               .batch_norm = batch_norm});
  }
  return config;
}

ModelInput draw(int64_t rows, uint64_t seed, DType type) {
  Random random(seed);
  std::vector<int32_t> ids;
  std::vector<double> values, clicks, weights;
  for (int64_t b = 0; b < rows; ++b) {
    for (int c = 0; c < 3; ++c) ids.push_back(static_cast<int32_t>(random.below(c == 0 ? 30 : 6)));
    values.push_back(random.normal());
    clicks.push_back(random.uniform() < 0.3 ? 1 : 0);
    weights.push_back(random.uniform());
  }
  return {Tensor::from(ids, {rows, 3}), Tensor::from(values, {rows, 1}).to(type),
          Tensor::from(clicks, {rows, 1}).to(type), Tensor::from(weights, {rows, 1}).to(type)};
}

ModelInput part(const ModelInput& whole, const data::BatchPart& of) {
  const int64_t first = of.first(whole.rows());
  return whole.rows(first, of.last(whole.rows()) - first);
}

struct Trained {
  std::vector<std::vector<double>> parameters;
  std::vector<nn::StepRecord> records;
};

// 12 steps of the current group's member, each on its part of another batch. Every fifth batch is smaller.
Trained train_steps(const EnsembleConfig& config, nn::OptimizerKind kind, DType type = DType::f64, int64_t rows = 41,
                    int64_t shards = 1) {
  nn::Builder build(3, type);
  using Kind = nn::EmbeddingField::Kind;
  Ensemble model(config, {{"user", Kind::id, 30}, {"tags", Kind::average, 6, 2}, {"price", Kind::numeric}}, build);
  nn::OptimizerConfig settings;
  settings.kind = kind;
  settings.learning_rate = 0.01;
  settings.embedding = {1e-4, 1e-3};
  settings.net = {0, 1e-3};
  settings.clip_norm = 0.1;
  nn::Optimizer optimizer(model.parameters(), settings, partial_sums(model, shards));
  TrainingStep compute(model, optimizer, ops::GemmPrecision::f32, 7, rows, shards);
  const data::BatchPart mine{Group::current().rank(), Group::current().size()};
  Trained result;
  for (uint64_t step = 0; step < 12; ++step) {
    const ModelInput batch = draw(step % 5 == 4 ? 11 : rows, step, type);
    compute.run(part(batch, mine), step, mine.first(batch.rows()), batch.rows());
    result.records.push_back(optimizer.take_records().at(0));
  }
  for (const nn::Parameter& p : model.parameters())
    result.parameters.push_back(p.tensor.to(DType::f64).to_vector<double>());
  return result;
}

void expect_near(const Trained& got, const Trained& want, double tolerance, const std::string& what) {
  for (size_t i = 0; i < want.records.size(); ++i) {
    EXPECT_NEAR(got.records[i].loss, want.records[i].loss, tolerance) << what << ", step " << i;
    EXPECT_NEAR(got.records[i].gradient_norm, want.records[i].gradient_norm, tolerance) << what << ", step " << i;
    EXPECT_NEAR(got.records[i].regularization, want.records[i].regularization, tolerance) << what << ", step " << i;
  }
  for (size_t p = 0; p < want.parameters.size(); ++p) {
    for (size_t i = 0; i < want.parameters[p].size(); ++i) {
      ASSERT_NEAR(got.parameters[p][i], want.parameters[p][i], tolerance) << what << ", parameter " << p;
    }
  }
}

void expect_steps_of_one_process(const EnsembleConfig& config, nn::OptimizerKind kind, const std::string& what,
                                 DType type = DType::f64, int64_t rows = 41) {
  const Trained alone = train_steps(config, kind, type, rows);
  EXPECT_GT(alone.records[0].gradient_norm, 0.1) << what << ": nothing is clipped";
  for (const int size : {2, 3}) {
    std::vector<Trained> members(static_cast<size_t>(size));
    test::ThreadGroup(size).run(
        [&](Group& group) { members[static_cast<size_t>(group.rank())] = train_steps(config, kind, type, rows); });
    for (const Trained& member : members) {
      expect_near(member, alone, type == DType::f64 ? 1e-10 : 1e-5, cat(what, ", ", size, " members"));
      EXPECT_EQ(member.parameters, members[0].parameters) << what << ": members have other bits";
    }
  }
}

// Without batch normalisation: the biases in front of it have a true gradient of zero, and adaptive optimizers turn the
// rounding noise of that gradient into whole steps.
TEST(GroupTraining, StepsOfEveryOptimizerAreThoseOfOneProcess) {
  for (const nn::OptimizerEntry& entry : nn::kOptimizers) {
    expect_steps_of_one_process(small_ensemble(), entry.kind, std::string(entry.name));
  }
}

// With batch normalisation.
TEST(GroupTraining, StepsOfEveryEnsembleAreThoseOfOneProcess) {
  for (const EnsembleType& type : ensemble_types()) {
    for (const bool fused : {true, false}) {
      expect_steps_of_one_process(small_ensemble(type.kind, fused, true), nn::OptimizerKind::sgd,
                                  cat(type.name, fused ? ", fused" : ", composed"));
    }
  }
}

// From eight rows per unit on, a hidden layer and the product after it are one op: some of these parts have a row less.
TEST(GroupTraining, MembersMayComputeHiddenLayersInDifferentWays) {
  for (const int64_t rows : {127, 191}) {
    expect_steps_of_one_process(small_ensemble(EnsembleKind::kdef, true, true), nn::OptimizerKind::sgd,
                                cat(rows, " rows"), DType::f32, rows);
  }
}

// That the test above can fail: a member that trains with its part alone comes to other weights.
TEST(GroupTraining, AMemberAloneTrainsAnotherModel) {
  const Trained alone = train_steps(small_ensemble(), nn::OptimizerKind::sgd);
  test::ThreadGroup(2).run([&](Group& group) {
    const Trained together = train_steps(small_ensemble(), nn::OptimizerKind::sgd);
    EXPECT_NEAR(together.records[0].gradient_norm, alone.records[0].gradient_norm, 1e-12);
    group.barrier();
    nn::Builder build(3, DType::f64);
    using Kind = nn::EmbeddingField::Kind;
    Ensemble model(small_ensemble(), {{"user", Kind::id, 30}, {"tags", Kind::average, 6, 2}, {"price", Kind::numeric}},
                   build);
    const ModelInput mine = part(draw(41, 0, DType::f64), {group.rank(), 2});
    const GroupScope by_itself(Group::alone());
    const double loss = model.loss(model.forward(mine, {.training = true}), mine.labels, mine.weights).item();
    EXPECT_GT(std::abs(loss - alone.records[0].loss), 1e-4);
  });
}

// ---- Batches in shards.

// With batch normalisation, dropout and weights of rows.
TEST(ShardTraining, StepsOfEveryEnsembleAreThoseOfOneShard) {
  for (const EnsembleType& type : ensemble_types()) {
    for (const bool fused : {true, false}) {
      const EnsembleConfig config = small_ensemble(type.kind, fused, true);
      const Trained whole = train_steps(config, nn::OptimizerKind::sgd);
      for (const int64_t shards : {2, 8}) {
        expect_near(train_steps(config, nn::OptimizerKind::sgd, DType::f64, 41, shards), whole, 1e-10,
                    cat(type.name, fused ? ", fused, " : ", composed, ", shards, " shards"));
      }
    }
  }
}

TEST(ShardTraining, StepsHaveTheSameBitsForEveryNumberOfProcesses) {
  for (const nn::OptimizerEntry& entry : nn::kOptimizers) {
    const EnsembleConfig config = small_ensemble(EnsembleKind::kdef, true, true);
    const Trained alone = train_steps(config, entry.kind, DType::f32, 191, 8);
    for (const int processes : {2, 4, 8}) {
      test::ThreadGroup(processes).run([&](Group&) {
        const Trained member = train_steps(config, entry.kind, DType::f32, 191, 8);
        EXPECT_EQ(member.parameters, alone.parameters) << entry.name << ", " << processes << " processes";
        for (size_t i = 0; i < alone.records.size(); ++i) {
          EXPECT_EQ(member.records[i].loss, alone.records[i].loss) << entry.name << ", step " << i;
          EXPECT_EQ(member.records[i].gradient_norm, alone.records[i].gradient_norm) << entry.name << ", step " << i;
        }
      });
    }
  }
}

// The loss, the norm of the gradient and the parameters after one step of 48 rows.
Trained step_of_network(const std::string& network, int64_t shards) {
  nn::Builder build(3, DType::f64);
  EnsembleConfig config = test::ensemble_of({network});
  for (double& rate : config.students[0].dropout) rate = 0.25;
  Ensemble model(config, nn::test::some_fields(), build);
  nn::test::scramble(model, 50);
  nn::OptimizerConfig settings;
  settings.kind = nn::OptimizerKind::sgd;
  nn::Optimizer optimizer(model.parameters(), settings, partial_sums(model, shards));
  const Tensor ids = nn::test::some_ids();
  std::vector<int32_t> rows;
  for (int times = 0; times < 8; ++times) {
    const std::vector<int32_t> six = ids.to_vector<int32_t>();
    rows.insert(rows.end(), six.begin(), six.end());
  }
  std::vector<double> labels;
  for (int b = 0; b < 48; ++b) labels.push_back(b % 5 == 0);
  const ModelInput batch{Tensor::from(rows, {48, ids.shape()[1]}),
                         ops::random_uniform({48, 1}, -1, 1, 9),
                         Tensor::from(labels, {48, 1}),
                         {}};
  TrainingStep compute(model, optimizer, ops::GemmPrecision::f32, 7, 48, shards);
  compute.run(batch, 0);
  Trained result;
  result.records.push_back(optimizer.take_records().at(0));
  for (const nn::Parameter& p : model.parameters()) result.parameters.push_back(p.tensor.to_vector<double>());
  return result;
}

class EveryNetworksShards : public testing::TestWithParam<std::string> {};

TEST_P(EveryNetworksShards, AreAStepOfOneShard) {
  const Trained whole = step_of_network(GetParam(), 1);
  EXPECT_GT(whole.records[0].gradient_norm, 0);
  expect_near(step_of_network(GetParam(), 4), whole, 1e-9 * (1 + whole.records[0].gradient_norm), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Networks, EveryNetworksShards, testing::ValuesIn(nn::network_names()),
                         [](const auto& info) { return info.param; });

// ---- Tables divided among members.

// Three steps of an ensemble of this network on two members: the parameters as one process would hold them. The classes
// of the optimizer's sums are those of two shards.
Trained steps_of_two(const std::string& network, bool divide) {
  constexpr int64_t kRows = 48;
  Trained result;
  test::ThreadGroup(2).run([&](Group& group) {
    std::vector<nn::EmbeddingField> fields = nn::with_columns(nn::test::some_fields());
    for (nn::EmbeddingField& field : fields) field.vocab_size *= 20;  // several blocks: both members own rows
    if (divide) fields = nn::holding_a_batch(fields, kRows);
    nn::Builder build(3);
    EnsembleConfig config = test::ensemble_of({network});
    for (double& rate : config.students[0].dropout) rate = 0.25;
    Ensemble model(config, fields, build);
    if (divide) model.divide(kRows, group);
    nn::OptimizerConfig settings;
    settings.embedding = {0, 1e-3};
    settings.clip_norm = 0.1;
    nn::Optimizer optimizer(model.owned_parameters(), settings, 2);
    TrainingStep compute(model, optimizer, ops::GemmPrecision::f32, 7, kRows);
    const Tensor ids = nn::test::some_ids();
    std::vector<int32_t> rows;
    for (int times = 0; times < 8; ++times) {
      for (const int32_t id : ids.to_vector<int32_t>()) rows.push_back(id == 0 ? 0 : 19 * id + times);
    }
    std::vector<float> labels;
    for (int b = 0; b < kRows; ++b) labels.push_back(b % 5 == 0 ? 1.0f : 0.0f);
    const ModelInput batch{Tensor::from(rows, {kRows, ids.shape()[1]}),
                           ops::random_uniform({kRows, 1}, -1, 1, 9).to(DType::f32),
                           Tensor::from(labels, {kRows, 1}),
                           {}};
    const data::BatchPart mine{group.rank(), 2};
    if (divide) {
      for (const nn::Parameter& p : model.owned_parameters()) {
        if (p.table) EXPECT_TRUE(p.tensor.shape()[0] > 0 && p.tensor.shape()[0] < p.table->rows) << p.name;
      }
    }
    std::vector<nn::StepRecord> records;
    for (uint64_t step = 0; step < 3; ++step) {
      compute.run(part(batch, mine), step, mine.first(kRows), kRows);
      records.push_back(optimizer.take_records().at(0));
    }
    std::vector<std::vector<double>> parameters;
    for (const nn::Parameter& p : model.owned_parameters()) {
      std::vector<double>& values = parameters.emplace_back();
      const auto take = [&](const void* data, size_t bytes) {
        const auto* x = static_cast<const float*>(data);
        values.insert(values.end(), x, x + bytes / sizeof(float));
      };
      if (p.table && p.table->members > 1)
        model.divided()->collect(*p.table, p.tensor, take);
      else
        take(p.tensor.raw(), p.tensor.bytes());
    }
    if (group.is_first()) result = {parameters, records};
  });
  return result;
}

class EveryNetworksTables : public testing::TestWithParam<std::string> {};

TEST_P(EveryNetworksTables, AreDividedWithoutADifference) {
  const Trained whole = steps_of_two(GetParam(), false), divided = steps_of_two(GetParam(), true);
  ASSERT_EQ(divided.records.size(), 3u);
  EXPECT_TRUE(whole.records[2].applied);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(divided.records[i].loss, whole.records[i].loss) << "step " << i;
    EXPECT_EQ(divided.records[i].gradient_norm, whole.records[i].gradient_norm) << "step " << i;
    EXPECT_EQ(divided.records[i].regularization, whole.records[i].regularization) << "step " << i;
  }
  EXPECT_EQ(divided.parameters, whole.parameters);
}

INSTANTIATE_TEST_SUITE_P(Networks, EveryNetworksTables, testing::ValuesIn(nn::network_names()),
                         [](const auto& test) { return test.param; });

// ---- Whole runs from files, in fp32.

const std::vector<std::string> kShort = {"batch_norm=False", "net_dropout=0", "epochs=2", "eval_steps=3",
                                         "collapse_every=2"};

TrainingResult train_run(const ExperimentConfig& config, const std::string& directory, bool resume = false,
                         int64_t stop_after = -1) {
  RunOptions options;
  options.directory = directory;
  options.resume = resume;
  int64_t asked = 0;
  // The last member is the one that is asked to stop.
  const bool stops = Group::current().rank() == Group::current().size() - 1;
  options.listener.stop_requested = [&] { return stops && stop_after >= 0 && asked++ >= stop_after; };
  return run_experiment(config, options);
}

TrainingResult train_together(int size, const ExperimentConfig& config, const std::string& directory,
                              bool resume = false, int64_t stop_after = -1) {
  std::vector<TrainingResult> results(static_cast<size_t>(size));
  test::ThreadGroup(size).run([&](Group& group) {
    results[static_cast<size_t>(group.rank())] = train_run(config, directory, resume, stop_after);
  });
  for (const TrainingResult& r : results) {
    EXPECT_EQ(r.interrupted, results[0].interrupted);
    EXPECT_EQ(r.steps, results[0].steps);
    EXPECT_EQ(to_json(r.valid), to_json(results[0].valid));
    EXPECT_EQ(to_json(r.test), to_json(results[0].test));
  }
  return results[0];
}

void expect_near_models(const std::string& a, const std::string& b, double tolerance) {
  const SafetensorsFile have(RunFiles(a).model()), want(RunFiles(b).model());
  ASSERT_EQ(have.names(), want.names());
  for (const std::string& name : want.names()) {
    const std::vector<float> x = have.read(name).to_vector<float>(), y = want.read(name).to_vector<float>();
    for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(x[i], y[i], tolerance) << name << " " << i;
  }
}

TEST(GroupTraining, ARunIsThatOfOneProcess) {
  const test::SmallExperiment e(2000);
  const ExperimentConfig config = e.load(kShort);
  const TrainingResult alone = train_run(config, e.directory / "alone");
  for (const int size : {2, 3}) {
    const std::string directory = e.directory / cat("group", size);
    const TrainingResult together = train_together(size, config, directory);
    EXPECT_EQ(together.steps, alone.steps);
    for (const char* metric : {"auc", "logloss"}) {
      EXPECT_NEAR(together.valid.ensemble[metric], alone.valid.ensemble[metric], 1e-6);
      EXPECT_NEAR(together.test.ensemble[metric], alone.test.ensemble[metric], 1e-6);
    }
    EXPECT_EQ(together.test.rows, alone.test.rows);
    EXPECT_EQ(together.test.positives, alone.test.positives);
    expect_near_models(directory, e.directory / "alone", 2e-6);
    // One member wrote: as many lines of metrics and of collapse as one process writes.
    const auto lines = [](const std::string& path) {
      const std::string text = test::read_file(path);
      return std::count(text.begin(), text.end(), '\n');
    };
    const RunFiles files(directory), expected(e.directory / "alone");
    EXPECT_EQ(lines(files.metrics()), lines(expected.metrics()));
    EXPECT_EQ(lines(files.collapse_history()), lines(expected.collapse_history()));
  }
}

TEST(GroupTraining, OneMemberStopsAllAndTheyResumeExactly) {
  const test::SmallExperiment e(2000);
  const ExperimentConfig config = e.load(kShort);
  train_together(2, config, e.directory / "whole");
  const std::string part = e.directory / "part";
  for (const int64_t stop : {0, 2}) {
    EXPECT_TRUE(train_together(2, config, part, stop > 0, stop).interrupted);
  }
  EXPECT_FALSE(train_together(2, config, part, true).interrupted);
  for (const char* name : {"model.safetensors", "result.json", "collapse.json", "collapse.jsonl"}) {
    EXPECT_EQ(test::read_file(part + "/" + name), test::read_file(e.directory / "whole/" + name)) << name;
  }
  EXPECT_EQ(test::metrics_without_seconds(part), test::metrics_without_seconds(e.directory / "whole"));
}

// A training with batch normalisation that is stopped on four processes, goes on on two, and ends on one.
TEST(ShardTraining, ARunDependsOnShardsAndNotOnProcesses) {
  const test::SmallExperiment e(2000);
  const ExperimentConfig config = e.load({"shards=8", "epochs=2", "eval_steps=3", "collapse_every=2"});
  train_run(config, e.directory / "whole");
  const auto expect_equal = [&](const std::string& run) {
    for (const char* name : {"model.safetensors", "result.json", "collapse.json", "collapse.jsonl"}) {
      EXPECT_EQ(test::read_file(run + "/" + name), test::read_file(e.directory / "whole/" + name)) << run << name;
    }
    EXPECT_EQ(test::metrics_without_seconds(run), test::metrics_without_seconds(e.directory / "whole"));
  };
  for (const int processes : {2, 8}) {
    const std::string run = e.directory / cat("p", processes);
    train_together(processes, config, run);
    expect_equal(run);
  }
  const std::string run = e.directory / "moved";
  EXPECT_TRUE(train_together(4, config, run, false, 1).interrupted);
  EXPECT_TRUE(train_together(2, config, run, true, 1).interrupted);
  EXPECT_FALSE(train_run(config, run, true).interrupted);
  expect_equal(run);

  // Other shards are another training.
  train_run(e.load({"shards=1", "epochs=2", "eval_steps=3", "collapse_every=2"}), e.directory / "one");
  EXPECT_NE(test::read_file(e.directory / "one/model.safetensors"),
            test::read_file(e.directory / "whole/model.safetensors"));
}

// With shards the bits depend neither on the processes nor on how the tables lie in them: a training that is divided
// among four goes on with whole tables on two, and ends divided on one.
TEST(DividedTraining, ARunDoesNotDependOnWhereTablesAre) {
  const test::SmallExperiment e(2000);
  const std::vector<std::string> keys = {"shards=4", "epochs=2", "eval_steps=3"};
  const auto with = [&](const char* key) {
    std::vector<std::string> all = keys;
    all.push_back(key);
    return e.load(all);
  };
  const ExperimentConfig whole = with("divide_tables=false"), divided = with("divide_tables=true");
  train_run(whole, e.directory / "whole");
  const auto expect_equal = [&](const std::string& run) {
    for (const char* name : {"model.safetensors", "result.json", "collapse.json"}) {
      EXPECT_EQ(test::read_file(run + "/" + name), test::read_file(e.directory / "whole/" + name)) << run << name;
    }
    EXPECT_EQ(test::metrics_without_seconds(run), test::metrics_without_seconds(e.directory / "whole"));
  };
  for (const int processes : {1, 2, 4}) {
    const std::string run = e.directory / cat("divided", processes);
    train_together(processes, divided, run);
    expect_equal(run);
  }
  const std::string run = e.directory / "moved";
  EXPECT_TRUE(train_together(4, divided, run, false, 1).interrupted);
  EXPECT_TRUE(train_together(2, whole, run, true, 1).interrupted);
  EXPECT_FALSE(train_run(divided, run, true).interrupted);
  expect_equal(run);
}

// Three members, for which there are no shards: the order of sums is another one.
TEST(DividedTraining, WithoutShardsARunIsThatOfOneProcess) {
  const test::SmallExperiment e(2000);
  const std::vector<std::string> keys = {"batch_norm=False", "net_dropout=0", "epochs=2", "eval_steps=3"};
  train_run(e.load(keys), e.directory / "whole");
  std::vector<std::string> divided = keys;
  divided.push_back("divide_tables=true");
  train_run(e.load(divided), e.directory / "alone");
  EXPECT_EQ(test::read_file(e.directory / "alone/model.safetensors"),
            test::read_file(e.directory / "whole/model.safetensors"));
  train_together(3, e.load(divided), e.directory / "three");
  expect_near_models(e.directory / "three", e.directory / "whole", 2e-6);
}

// A training that starts from the weights of another run reads its own rows of them.
TEST(DividedTraining, StartsFromAnotherRun) {
  const test::SmallExperiment e(2000);
  const std::vector<std::string> keys = {"shards=4", "epochs=1"};
  train_run(e.load(keys), e.directory / "first");
  const std::vector<std::string> from = {"shards=4", "epochs=1", "seed=5", "init=" + (e.directory / "first"),
                                         "init_optimizer=true"};
  train_run(e.load(from), e.directory / "whole");
  std::vector<std::string> divided = from;
  divided.push_back("divide_tables=true");
  train_together(4, e.load(divided), e.directory / "divided");
  EXPECT_EQ(test::read_file(e.directory / "divided/model.safetensors"),
            test::read_file(e.directory / "whole/model.safetensors"));
}

TEST(DividedTraining, WhatNeedsWholeTablesIsRefused) {
  const test::SmallExperiment e(200);
  try {
    train_run(e.load({"divide_tables=true", "collapse_every=1"}), e.directory / "run");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("collapse_every"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(std::filesystem::exists(e.directory / "run"));
}

TEST(GroupTraining, AnEvaluationHasTheBitsOfOneProcess) {
  const test::SmallExperiment e(2000);
  const ExperimentConfig config = e.load(kShort);
  train_run(config, e.directory / "run");
  const kdef::Run run(e.directory / "run");
  const data::EncodedFile rows(data::test_file(cache_directory(config)));
  for (const int64_t batch : {7, 64, 1000}) {  // more and fewer batches than members
    const Evaluation alone = evaluate(run.model(), rows, batch);
    test::ThreadGroup(3).run([&](Group&) {
      const Evaluation together = evaluate(run.model(), rows, batch);
      EXPECT_EQ(to_json(together), to_json(alone));
      EXPECT_EQ(together.rows, alone.rows);
      EXPECT_EQ(together.positives, alone.positives);
    });
  }
}

TEST(GroupTraining, ErrorsAreThoseOfAllMembers) {
  const test::SmallExperiment e(2000);
  const auto refused = [&](std::vector<std::string> overrides, const char* words) {
    overrides.insert(overrides.begin(), kShort.begin(), kShort.end());
    try {
      train_together(2, e.load(overrides), e.directory / words);
      FAIL() << words;
    } catch (const std::exception& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  };
  refused({"learning_rate=1e30"}, "first bad tensor");
  refused({"learning_rate=1e30", "collapse_every=0", "divide_tables=true"}, "first bad tensor");
  refused({"batch_size=1599"}, "too few for 2 processes");  // 1600 rows
  refused({"batch_size=1593", "shards=8"}, "too few for 8 shards");
  train_run(e.load(kShort), e.directory / "trained");
  EXPECT_THROW(train_together(2, e.load(kShort), e.directory / "trained"), InputError) << "there is a run";
  EXPECT_THROW(train_together(4, e.load({"shards=2"}), e.directory / "few"), InputError)
      << "more processes than shards";
}

}  // namespace
}  // namespace kdef
