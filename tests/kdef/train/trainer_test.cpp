// Whole runs: same bits again, exact resume, early stopping, what is left on disk, what is refused.
#include "kdef/train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/names.h"
#include "core/base/parallel.h"
#include "core/io/safetensors.h"
#include "data/feed/batching.h"
#include "kdef/run/record.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using test::SmallExperiment;

TrainingResult run(const ExperimentConfig& config, const std::string& directory, bool resume = false,
                   int64_t stop_after = -1) {
  RunOptions options;
  options.directory = directory;
  options.resume = resume;
  int64_t done = 0;
  options.listener.step = [&](const TrainingListener::Step&) { ++done; };
  options.listener.stop_requested = [&] { return stop_after >= 0 && done >= stop_after; };
  return run_experiment(config, options);
}

void expect_same_run(const std::string& a, const std::string& b) {
  EXPECT_EQ(test::read_file(a + "/model.safetensors"), test::read_file(b + "/model.safetensors"));
  EXPECT_EQ(test::read_file(a + "/result.json"), test::read_file(b + "/result.json"));
  EXPECT_EQ(test::metrics_without_seconds(a), test::metrics_without_seconds(b));
  EXPECT_FALSE(test::read_file(a + "/result.json").empty());
  EXPECT_EQ(test::read_file(a + "/collapse.json"), test::read_file(b + "/collapse.json"));
  EXPECT_EQ(test::read_file(a + "/collapse.jsonl"), test::read_file(b + "/collapse.jsonl"));
}

std::vector<nlohmann::json> json_lines(const std::string& path) {
  std::istringstream text(test::read_file(path));
  std::vector<nlohmann::json> all;
  for (std::string line; std::getline(text, line);) all.push_back(nlohmann::json::parse(line));
  return all;
}

TEST(Training, SameSeedSameBits) {
  const SmallExperiment e;
  run(e.load(), e.directory / "a");
  run(e.load(), e.directory / "b");
  expect_same_run(e.directory / "a", e.directory / "b");
  run(e.load({"seed=7"}), e.directory / "c");
  EXPECT_NE(test::read_file(e.directory / "a/model.safetensors"), test::read_file(e.directory / "c/model.safetensors"));
}

TEST(Training, SameBitsForAnyNumberOfThreads) {
  const SmallExperiment e;
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    run(e.load({"epochs=2", "deterministic=true"}), e.directory / std::to_string(threads));
  }
  expect_same_run(e.directory / "1", e.directory / "2");
  expect_same_run(e.directory / "1", e.directory / "3");
}

// The networks above are too small for a product to be cut into pieces.
TEST(Training, SameBitsForAnyNumberOfThreadsWhereProductsAreCut) {
  const SmallExperiment e;
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    run(e.load({"epochs=1", "hidden_units=[300, 130]", "batch_size=1500"}), e.directory / std::to_string(threads));
  }
  expect_same_run(e.directory / "1", e.directory / "2");
  expect_same_run(e.directory / "1", e.directory / "3");
}

// bf16 where the processor has it: another training than fp32, as reproducible, and one that is evaluated in fp32.
TEST(Training, Bf16IsReproducibleAndResumesExactly) {
  const SmallExperiment e;
  const std::vector<std::string> settings = {"epochs=1", "hidden_units=[300, 130]", "batch_size=1500",
                                             "precision=bf16"};
  try {
    ops::check_precision(ops::GemmPrecision::bf16, kCpu);
  } catch (const InputError&) {
    EXPECT_THROW(run(e.load(settings), e.directory / "refused"), InputError);
    EXPECT_FALSE(std::filesystem::exists(e.directory / "cache")) << "refused after the data was prepared";
    GTEST_SKIP() << "this processor or build has no bf16 products; refused as it should be";
  }
  for (int threads : {1, 3}) {
    set_num_threads(threads);
    run(e.load(settings), e.directory / std::to_string(threads));
  }
  expect_same_run(e.directory / "1", e.directory / "3");
  run(e.load(settings), e.directory / "part", false, 1);
  const TrainingResult result = run(e.load(settings), e.directory / "part", true);
  expect_same_run(e.directory / "1", e.directory / "part");
  run(e.load({settings.begin(), settings.end() - 1}), e.directory / "f32");
  EXPECT_NE(test::read_file(e.directory / "1/model.safetensors"),
            test::read_file(e.directory / "f32/model.safetensors"));
  const kdef::Run opened(e.directory / "part");
  data::RawFile rows(opened.encoder(), e.directory / "data/test.csv", true);
  const Evaluation again = evaluate(opened.model(), [&](data::Batch& b) { return rows.next(b, 4096); });
  EXPECT_EQ(again.ensemble["auc"], result.test.ensemble["auc"])
      << "training evaluates in fp32, as does whoever opens the run";
}

class Resume : public testing::TestWithParam<std::vector<std::string>> {};

TEST_P(Resume, IsBitIdenticalWhereverItWasStopped) {
  const SmallExperiment e;
  run(e.load(GetParam()), e.directory / "whole");
  for (int64_t stop :
       {0, 1, 4, 7, 8, 11}) {  // 7 steps an epoch: in the middle, at the end, after the first of an epoch
    const std::string part = e.directory / ("part" + std::to_string(stop));
    const TrainingResult first = run(e.load(GetParam()), part, false, stop + 1);
    EXPECT_TRUE(first.interrupted);
    EXPECT_FALSE(run(e.load(GetParam()), part, true).interrupted);
    expect_same_run(e.directory / "whole", part);
  }
}

std::vector<std::vector<std::string>> resumed_settings() {
  std::vector<std::vector<std::string>> all = {{"eval_steps=3"},
                                               {"eval_steps=5", "shuffle=False"},
                                               {"fused=false", "net_regularizer=1.e-4"},
                                               {"eval_steps=3", "collapse_every=2"},
                                               {"shared_embedding=false", "collapse_every=1"}};
  for (const nn::OptimizerEntry& entry : nn::kOptimizers) all.push_back({std::string("optimizer=") + entry.name});
  return all;
}
INSTANTIATE_TEST_SUITE_P(Settings, Resume, testing::ValuesIn(resumed_settings()),
                         [](const auto& test) { return std::to_string(test.index); });

TEST(Training, ResumeOfAFinishedRunChangesNothing) {
  const SmallExperiment e;
  run(e.load(), e.directory / "a");
  const std::string model = test::read_file(e.directory / "a/model.safetensors");
  run(e.load(), e.directory / "a", true);
  EXPECT_EQ(test::read_file(e.directory / "a/model.safetensors"), model);
}

TEST(Training, ResumeRefusesAnotherConfiguration) {
  const SmallExperiment e;
  run(e.load(), e.directory / "a", false, 2);
  EXPECT_THROW(run(e.load({"learning_rate=0.5"}), e.directory / "a", true), InputError);
  EXPECT_THROW(run(e.load({"hidden_units=[16, 4]"}), e.directory / "a", true), InputError);
  EXPECT_THROW(run(e.load(), e.directory / "nothing", true), InputError);
}

TEST(Training, ResumeRefusesOtherData) {
  const SmallExperiment e;
  run(e.load(), e.directory / "a", false, 2);
  const std::string path = e.directory / "data/valid.csv";
  std::string rows = test::read_file(path);
  const size_t label = rows.find('\n') + 1;
  rows[label] = rows[label] == '0' ? '1' : '0';
  std::ofstream(path, std::ios::trunc) << rows;
  EXPECT_THROW(run(e.load(), e.directory / "a", true), InputError);
}

TEST(Training, TheLastModelIsKeptWhereThatIsAskedFor) {
  const SmallExperiment e;
  // A learning rate at which every evaluation after the first is worse.
  const std::vector<std::string> settings = {"learning_rate=0.05", "epochs=6", "reduce_lr_on_plateau=False"};
  run(e.load(settings), e.directory / "best");
  std::vector<std::string> last = settings;
  last.push_back("save_best_only=False");
  const TrainingResult kept = run(e.load(last), e.directory / "last");
  std::istringstream lines(test::read_file(e.directory / "last/metrics.jsonl"));
  std::string line, final;
  while (std::getline(lines, line)) final = line;
  EXPECT_EQ(nlohmann::json::parse(final).at("valid").at("ensemble").at("auc").get<double>(),
            kept.valid.ensemble["auc"]);
  EXPECT_NE(test::read_file(e.directory / "best/model.safetensors"),
            test::read_file(e.directory / "last/model.safetensors"));
}

TEST(Training, DoesNotOverwriteARun) {
  const SmallExperiment e;
  run(e.load(), e.directory / "a");
  const std::string model = test::read_file(e.directory / "a/model.safetensors");
  EXPECT_THROW(run(e.load({"seed=9"}), e.directory / "a"), InputError);
  EXPECT_EQ(test::read_file(e.directory / "a/model.safetensors"), model);
}

TEST(Training, ADamagedCheckpointIsRefusedAndKept) {
  const SmallExperiment e;
  run(e.load(), e.directory / "a", false, 3);
  const std::string path = e.directory / "a/checkpoint/state.safetensors", whole = test::read_file(path);
  for (size_t size : {size_t{0}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    EXPECT_THROW(run(e.load(), e.directory / "a", true), InputError) << size;
  }
  std::ofstream(path, std::ios::binary | std::ios::trunc) << whole;
  EXPECT_FALSE(run(e.load(), e.directory / "a", true).interrupted);
}

TEST(Training, CutsTheLearningRateAndStopsEarly) {
  const SmallExperiment e;
  // Nothing improves with a learning rate of nearly nothing.
  run(e.load({"learning_rate=1e-12", "epochs=50", "early_stop_patience=3"}), e.directory / "a");
  std::istringstream lines(test::read_file(e.directory / "a/metrics.jsonl"));
  std::vector<double> rates;
  for (std::string line; std::getline(lines, line);) rates.push_back(nlohmann::json::parse(line).at("lr"));
  ASSERT_GE(rates.size(), 4u);
  EXPECT_LT(rates.size(), 20u);
  EXPECT_EQ(rates[0], 1e-12);
  EXPECT_EQ(rates.back(), 1e-6) << "max(0.1 lr, 1e-6), as published";
}

TEST(Training, LeavesWhatTheContractSays) {
  const SmallExperiment e;
  const TrainingResult result = run(e.load(), e.directory / "a");
  std::istringstream lines(test::read_file(e.directory / "a/metrics.jsonl"));
  int64_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto json = nlohmann::json::parse(line);
    for (const char* key : {"step", "epoch", "seconds", "lr", "train_loss", "train", "valid"})
      EXPECT_TRUE(json.contains(key)) << key;
    EXPECT_EQ(json["valid"]["students"].size(), 3u);
    EXPECT_TRUE(json["valid"]["ensemble"].contains("auc"));
    EXPECT_TRUE(json["valid"]["ensemble"].contains("logloss"));
  }
  EXPECT_EQ(count, 3);
  const auto json = nlohmann::json::parse(test::read_file(e.directory / "a/result.json"));
  EXPECT_EQ(json["test"]["ensemble"]["auc"].get<double>(), result.test.ensemble["auc"]);
  EXPECT_EQ(json["valid"]["students"].size(), 3u);
  const SafetensorsFile model(e.directory / "a/model.safetensors");
  EXPECT_TRUE(model.has("embedding_layer.embedding_layer.embedding_layers.user.weight"));
  EXPECT_TRUE(model.has("networks.2.mlp.0.weight"));
}

TEST(Training, MeasuresAndMonitorsEveryMetricForClicks) {
  const SmallExperiment e;
  std::vector<std::string> names;
  MetricList expected;
  for (const MetricRow& row : kMetrics) {
    if (row.labels != data::LabelKind::click) continue;
    expected.emplace_back(row, 3);
    names.push_back(expected.back().name());
  }
  const TrainingResult result = run(e.load({"group_id=user", cat("metrics=[", joined(names), "]"),
                                            "monitor={NDCG(k=3): 1, MRR: 1, predicted_over_actual: -1}"}),
                                    e.directory / "a");
  EXPECT_EQ(result.valid.ensemble.measured(), expected);
  EXPECT_EQ(result.test.students.at(2).measured(), expected);
  for (const Metric& m : expected) EXPECT_TRUE(std::isfinite(result.test.ensemble[m])) << m.key();
  EXPECT_EQ(result.test.ensemble.calibration.size(), kCalibrationBins);
  // The kept model is that with the best sum; a ratio of clicks counts by its distance to 1.
  double best = -std::numeric_limits<double>::infinity();
  for (const auto& step : read_metrics(e.directory / "a/metrics.jsonl")) {
    const Quality& q = step.valid.ensemble;
    best = std::max(best, q["ndcg_3"] + q["mrr"] - std::abs(q["predicted_over_actual"] - 1));
  }
  const Quality& kept = result.valid.ensemble;
  EXPECT_NEAR(kept["ndcg_3"] + kept["mrr"] - std::abs(kept["predicted_over_actual"] - 1), best, 1e-5);
}

TEST(Training, ARunOpenedAgainPredictsTheSame) {
  const SmallExperiment e;
  for (const char* shared : {"true", "false"}) {
    const TrainingResult result = run(e.load({std::string("shared_embedding=") + shared}), e.directory / shared);
    const kdef::Run opened(e.directory / shared);
    data::RawFile rows(opened.encoder(), e.directory / "data/test.csv", true);
    // Another batch size: evaluation does not depend on it.
    const Evaluation again = evaluate(opened.model(), [&](data::Batch& b) { return rows.next(b, 77); });
    EXPECT_EQ(again.ensemble["auc"], result.test.ensemble["auc"]);
    EXPECT_NEAR(again.ensemble["logloss"], result.test.ensemble["logloss"], 1e-9);
    EXPECT_EQ(again.rows, 400);
  }
}

TEST(Training, CollapseIsMeasuredAtEveryKthEvaluationAndOfTheBestModel) {
  const SmallExperiment e;
  run(e.load(), e.directory / "plain");
  run(e.load({"eval_steps=2", "collapse_every=3"}), e.directory / "a");
  std::vector<int64_t> steps, epochs;
  for (const auto& record : json_lines(e.directory / "a/collapse.jsonl")) {
    steps.push_back(record.at("step"));
    epochs.push_back(record.at("epoch"));
    EXPECT_EQ(record.at("rows"), 400);
    EXPECT_EQ(record.at("layers").size(), 6u);
  }
  // 7 steps an epoch, 3 epochs, an evaluation every second step.
  EXPECT_EQ(steps, (std::vector<int64_t>{6, 12, 18}));
  EXPECT_EQ(epochs, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_FALSE(std::filesystem::exists(e.directory / "plain/collapse.jsonl"));
  for (const char* name : {"plain", "a"}) {
    const std::string directory = e.directory / name;
    const auto json = nlohmann::json::parse(test::read_file(directory + "/collapse.json"));
    const auto result = nlohmann::json::parse(test::read_file(directory + "/result.json"));
    EXPECT_EQ(json.at("ensemble_auc"), result.at("valid").at("ensemble").at("auc")) << name;
  }
}

TEST(Training, MeasuringCollapseChangesNothingElse) {
  const SmallExperiment e;
  run(e.load(), e.directory / "plain");
  run(e.load({"collapse_every=1"}), e.directory / "measured");
  std::filesystem::remove(e.directory / "measured/collapse.jsonl");
  expect_same_run(e.directory / "plain", e.directory / "measured");
}

TEST(Training, StudentsWithTablesOfTheirOwn) {
  const SmallExperiment e;
  run(e.load(), e.directory / "shared");
  run(e.load({"shared_embedding=false"}), e.directory / "own");
  const kdef::Run shared(e.directory / "shared"), own(e.directory / "own");
  const int64_t tables = shared.model().embedding().parameter_count();
  EXPECT_GT(tables, 0);
  EXPECT_EQ(own.model().parameter_count(), shared.model().parameter_count() + 2 * tables);
  const SafetensorsFile model(e.directory / "own/model.safetensors");
  EXPECT_FALSE(model.has("embedding_layer.embedding_layer.embedding_layers.user.weight"));
  std::vector<std::vector<float>> users;
  for (const char* k : {"0", "1", "2"}) {
    const std::string prefix = std::string("embedding_layers.") + k + ".embedding_layer.embedding_layers.";
    users.push_back(model.read(prefix + "user.weight").to_vector<float>());
  }
  EXPECT_NE(users[0], users[1]);
  EXPECT_NE(users[1], users[2]);
  const auto json = nlohmann::json::parse(test::read_file(e.directory / "own/collapse.json"));
  EXPECT_EQ(json.at("embeddings").at(0).at("name"), "student 1 embedding user");
  EXPECT_EQ(json.at("embeddings").back().at("name").get<std::string>().rfind("student 3 embedding ", 0), 0u);
  EXPECT_NE(json.at("embeddings").at(0).at("log_spectrum"),
            json.at("embeddings").at(json.at("embeddings").size() / 3).at("log_spectrum"));
}

// A student's output depends on its own tables, and on no other's.
TEST(Training, AStudentReadsItsOwnTablesAlone) {
  const SmallExperiment e;
  const ExperimentConfig config = e.load({"shared_embedding=false"});
  const data::Prepared prepared = data::prepare(config.dataset, cache_directory(config));
  nn::Builder build(1);
  const Ensemble model(config.model, embedding_fields(prepared.map), build);
  const data::EncodedFile rows(data::valid_file(cache_directory(config)));
  data::Loader loader(rows, 64, false, 0);
  loader.start_epoch(0);
  data::Batch batch;
  ASSERT_TRUE(loader.next(batch));
  const ModelInput input = model_input(batch, model.embedding().id_columns(), model.embedding().value_columns());
  const std::vector<float> before = predict(model, input).students;
  for (const nn::Parameter& p : model.embedding(1).parameters()) {
    Tensor t = p.tensor.detach();
    t.fill(0.5);
  }
  const std::vector<float> after = predict(model, input).students;
  for (size_t i = 0; i < before.size(); ++i) {
    if (i % 3 == 1)
      EXPECT_NE(before[i], after[i]);
    else
      EXPECT_EQ(before[i], after[i]);
  }
}

TEST(Training, StopsAtALossThatIsNotFiniteNamingStepAndTensor) {
  const SmallExperiment e;
  try {
    run(e.load({"learning_rate=1e30", "batch_norm=False"}), e.directory / "a");
    FAIL() << "no error";
  } catch (const CheckError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("step "), std::string::npos) << text;
    EXPECT_NE(text.find("first bad tensor: "), std::string::npos) << text;
  }
}

// One step, after which the first evaluation meets what the step has done.
TEST(Training, AModelThatDivergedInItsLastStepIsNamedByTheEvaluation) {
  const SmallExperiment e;
  for (const char* experiment : {"KDEF", "mean"}) {
    try {
      run(e.load({"learning_rate=1e30", "batch_norm=False", "batch_size=3200"}, experiment), e.directory / experiment);
      FAIL() << "no error";
    } catch (const CheckError& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find("validation after step 1: "), std::string::npos) << text;
      EXPECT_NE(text.find("not a number"), std::string::npos) << text;
    }
  }
}

TEST(Training, AStepAllocatesNothingOnceItHasRun) {
  const SmallExperiment e;
  RunOptions options;
  options.directory = e.directory / "a";
  std::vector<size_t> allocations;
  options.listener.step = [&](const TrainingListener::Step&) {
    allocations.push_back(memory_of(kCpu).statistics().system_allocations);
  };
  run_experiment(e.load({"epochs=1", "shuffle=False"}), options);
  ASSERT_GE(allocations.size(), 6u);
  // The last batch is smaller, and so are some of its tensors.
  for (size_t i = 2; i + 1 < allocations.size(); ++i) EXPECT_EQ(allocations[i], allocations[1]) << "step " << i + 1;
}

TEST(Training, RefusesDataItCannotTrainOn) {
  const SmallExperiment e;
  const auto refused = [&](std::vector<std::string> overrides, const char* words) {
    try {
      run(e.load(std::move(overrides)), e.directory / "refused");
      FAIL() << words;
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
    EXPECT_FALSE(std::filesystem::exists(e.directory / "refused")) << "something was written";
  };
  refused({"batch_size=3199"}, "one row");
  refused({"valid_data=null"}, "valid_data");
  test::put(e.directory / "weights.csv", "label,user,w\n1,a,0\n0,b,0.0\n");
  refused({"train_data=" + (e.directory / "weights.csv"), "valid_data=" + (e.directory / "weights.csv"),
           "test_data=null", "feature_cols=[{name: user}]", "weight_col=w"},
          "every row of train_data has the weight 0");
}

TEST(Training, ABatchLargerThanTheDataIsOneBatchOfAllRows) {
  const SmallExperiment e;
  run(e.load({"epochs=2", "batch_size=100000"}), e.directory / "larger");
  run(e.load({"epochs=2", "batch_size=3200"}), e.directory / "equal");
  EXPECT_EQ(test::read_file(e.directory / "larger/result.json"), test::read_file(e.directory / "equal/result.json"));
}

TEST(Training, AnUndefinedMonitorIsTold) {
  const SmallExperiment e;
  RunOptions options;
  options.directory = e.directory / "a";
  std::string notes;
  options.listener.note = [&](const std::string& text) { notes += text; };
  // Every group has one label.
  run_experiment(e.load({"epochs=1", "group_id=label", "metrics=[AUC, gAUC]", "monitor=gAUC"}), options);
  EXPECT_NE(notes.find("undefined for valid_data"), std::string::npos) << notes;
}

TEST(Training, OneClassIsTrainedWithAWarningAndAnUndefinedAuc) {
  const SmallExperiment e;
  for (const char* name : {"train.csv", "valid.csv"}) {
    const std::string path = e.directory / ("data/" + std::string(name));
    std::istringstream in(test::read_file(path));
    std::string out, line;
    std::getline(in, line);
    out = line + "\n";
    while (std::getline(in, line)) out += "0" + line.substr(1) + "\n";  // the label comes first
    ASSERT_EQ(test::read_file(path).substr(0, 6), "label,");
    std::ofstream(path, std::ios::trunc) << out;
  }
  RunOptions options;
  options.directory = e.directory / "a";
  std::string notes;
  options.listener.note = [&](const std::string& text) { notes += text; };
  EXPECT_THROW(run_experiment(e.load({"epochs=1"}), options), InputError) << "AUC cannot choose a model";
  const TrainingResult result = run_experiment(e.load({"epochs=1", "monitor=logloss"}), options);
  EXPECT_NE(notes.find("label 0"), std::string::npos) << notes;
  EXPECT_TRUE(std::isnan(result.valid.ensemble["auc"]));
  EXPECT_NE(test::read_file(e.directory / "a/result.json").find("\"auc\":null"), std::string::npos);
}

}  // namespace
}  // namespace kdef
