// Sweeps: what is planned, what the table says, and that stopping one changes nothing.
#include "kdef/study/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <sstream>

#include "core/io/file.h"
#include "ops/elementwise.h"
#include "ops/loss.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using test::SmallExperiment;
using testing::ElementsAre;
using testing::HasSubstr;

using Kinds = std::vector<EnsembleKind>;
const Kinds kAll = {EnsembleKind::kdef, EnsembleKind::mean, EnsembleKind::sum, EnsembleKind::concat};

SweepConfig small_sweep(const SmallExperiment& e, const std::string& name = "sweep") {
  SweepConfig config;
  config.config_dir = e.directory / "data";
  config.experiment = "KDEF";
  config.overrides = {"data_root=" + (e.directory / "cache"), "batch_size=512", "epochs=2", "hidden_units=[8, 4]"};
  config.axes = {ensembles_axis({EnsembleKind::kdef, EnsembleKind::mean}), students_axis({1, 2})};
  config.directory = e.directory / name;
  return config;
}

std::vector<std::string> names(const SweepPlan& plan) {
  std::vector<std::string> all;
  for (const SweepRun& run : plan.runs) all.push_back(run.name);
  return all;
}

std::string refusal(const SweepConfig& config) {
  try {
    const Sweep sweep(config);
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

TEST(SweepPlan, GoesFromCheapToDearAndTrainsOneStudentOnce) {
  const SmallExperiment e(300);
  SweepConfig config = small_sweep(e);
  config.axes[1] = students_axis({2, 1, 2});
  config.axes[0] = ensembles_axis(kAll);
  config.seed_count = 2;
  config.overrides.push_back("epochs=1");
  const SweepPlan plan = plan_sweep(config);
  EXPECT_THAT(names(plan),
              ElementsAre("mean-M1-seed2024", "mean-M1-seed2025", "concat-M1-seed2024", "concat-M1-seed2025",
                          "kdef-M2-seed2024", "kdef-M2-seed2025", "mean-M2-seed2024", "mean-M2-seed2025",
                          "sum-M2-seed2024", "sum-M2-seed2025", "concat-M2-seed2024", "concat-M2-seed2025"));
  using Rows = std::vector<std::vector<size_t>>;
  EXPECT_EQ(plan.runs[0].rows, (Rows{{0, 0}, {1, 0}, {2, 0}}));  // kdef, mean and sum of one student
  EXPECT_EQ(plan.runs[2].rows, (Rows{{3, 0}}));                  // concat
  for (const SweepRun& run : plan.runs) {
    EXPECT_EQ(run.name, std::string(name_of(run.config.model.kind)) + "-M" +
                            std::to_string(run.config.model.students.size()) + "-seed" +
                            std::to_string(run.config.training.seed));
    EXPECT_EQ(run.config.training.epochs, 1);
  }
  config.seeds = {7, 3};
  config.axes[1] = students_axis({1});
  config.axes[0] = ensembles_axis({EnsembleKind::sum});
  EXPECT_THAT(names(plan_sweep(config)), ElementsAre("mean-M1-seed7", "mean-M1-seed3"));
}

// What the plan rests on: the gradient of one student is that of the plain network.
TEST(SweepPlan, OneStudentHasTheGradientOfThePlainNetwork) {
  const Tensor labels = Tensor::from<double>({1, 0, 1, 1, 0}, {5, 1});
  const auto gradient = [&](auto objective) {
    Tensor z = Tensor::from<double>({0.3, -1.2, 2.5, -0.1, 0.8}, {5, 1});
    z.set_requires_grad(true);
    const Tensor loss = objective(z);
    backward(loss);
    return z.grad().to_vector<double>();
  };
  const std::vector<double> plain =
      gradient([&](const Tensor& z) { return ops::binary_cross_entropy(ops::sigmoid(z), labels); });
  for (const EnsembleType& type : ensemble_types()) {
    if (!type.one_student_is_plain()) continue;
    const std::vector<double> of_kind = gradient([&](const Tensor& z) {
      return type.objective.loss(default_task(), {z, type.combine(z), labels, {}}, {}, true);
    });
    for (size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(of_kind[i], plain[i], 1e-15) << type.name << " " << i;
  }
}

// Without batch normalisation: the biases in front of it have a true gradient of zero, and Adam makes full steps of its
// rounding, which differs between the objectives' kernels and which the running means then show in evaluation.
TEST(SweepPlan, OneStudentIsTrainedTheSameByEveryKind) {
  const SmallExperiment e(1000);
  std::vector<double> losses;
  for (const EnsembleKind kind :
       {EnsembleKind::mean, EnsembleKind::kdef, EnsembleKind::sum, EnsembleKind::final, EnsembleKind::tri_bce}) {
    RunOptions options;
    options.directory = e.directory / name_of(kind);
    std::vector<std::string> overrides = overrides_for(kind);
    overrides.insert(overrides.end(), {"num_student=1", "batch_norm=false"});
    const ExperimentConfig config = e.load(overrides);
    losses.push_back(run_experiment(config, options).valid.ensemble["logloss"]);
  }
  for (const double loss : losses) EXPECT_NEAR(loss, losses[0], 1e-7);
  EXPECT_EQ(losses[2], losses[0]);
}

TEST(SweepPlan, ListsOfStudentsAreRepeated) {
  const SmallExperiment e(300);
  SweepConfig config = small_sweep(e);
  config.overrides.push_back("students=[{network: mlp}, {network: product}]");
  config.axes[1] = students_axis({2, 4});
  config.axes[0] = ensembles_axis({EnsembleKind::kdef});
  const SweepPlan plan = plan_sweep(config);
  ASSERT_EQ(plan.runs.size(), 2u);
  EXPECT_EQ(plan.runs[0].config.model.students[1].network, "product");
  EXPECT_EQ(plan.runs[1].config.model.students[3].network, "product");
  config.axes[1] = students_axis({3});
  EXPECT_THAT(refusal(config), HasSubstr("multiples of 2"));
  config.overrides.back() = "model=EKTF_L";
  EXPECT_EQ(plan_sweep(config).runs[0].config.model.students.size(), 3u);
}

// The experiment of the file is a KDEF ensemble, which a regression cannot have.
TEST(SweepPlan, TheListOfEnsemblesReplacesThatOfTheFile) {
  const SmallExperiment e(300);
  SweepConfig config = small_sweep(e);
  for (const char* setting : {"task=regression", "loss=mse", "metrics=[RMSE]", "monitor=RMSE"}) {
    config.overrides.emplace_back(setting);
  }
  EXPECT_THAT(refusal(config), HasSubstr("--ensembles"));
  config.axes[0] = ensembles_axis({EnsembleKind::mean});
  EXPECT_THAT(names(plan_sweep(config)), ElementsAre("mean-M1-seed2024", "mean-M2-seed2024"));
}

TEST(SweepPlan, RefusesWhatItSetsItself) {
  const SmallExperiment e(300);
  for (const char* text : {"num_student=3", "ensemble=sum", "objective=final", "seed=1"}) {
    SweepConfig config = small_sweep(e);
    config.overrides.push_back(text);
    EXPECT_THAT(refusal(config), HasSubstr("the sweep sets")) << text;
  }
}

TEST(SweepPlan, AnyKeysVaryInTheirOrderTheLastFastest) {
  const SmallExperiment e(300);
  SweepConfig config = small_sweep(e);
  config.overrides = {"data_root=" + (e.directory / "cache")};
  config.axes = {parse_axis("learning_rate=1e-3,1e-2"), parse_axis("hidden_units=[16],[32, 32]")};
  const SweepPlan plan = plan_sweep(config);
  EXPECT_THAT(
      names(plan),
      ElementsAre("learning_rate=1e-3-hidden_units=16-seed2024", "learning_rate=1e-3-hidden_units=32,32-seed2024",
                  "learning_rate=1e-2-hidden_units=16-seed2024", "learning_rate=1e-2-hidden_units=32,32-seed2024"));
  EXPECT_EQ(plan.runs[3].rows, (std::vector<std::vector<size_t>>{{1, 1}}));
  EXPECT_EQ(plan.runs[3].config.model.students[0].hidden_units, (std::vector<int64_t>{32, 32}));
  EXPECT_EQ(plan.runs[0].config.model.kind, EnsembleKind::kdef);  // as the experiment has it
  // Students are slowest, wherever they stand; ensembles and students begin the names.
  config.axes = {parse_axis("epochs=1,2"), ensembles_axis({EnsembleKind::sum}), students_axis({3, 2})};
  EXPECT_THAT(names(plan_sweep(config)), ElementsAre("sum-M2-epochs=1-seed2024", "sum-M2-epochs=2-seed2024",
                                                     "sum-M3-epochs=1-seed2024", "sum-M3-epochs=2-seed2024"));
}

TEST(SweepPlan, AxesAreRead) {
  const Axis axis = parse_axis("a.b=[1, 2], {c: 3, d: [4, 5]} ,'x, y',null,[1, 2]");
  EXPECT_EQ(axis.key, "a.b");
  EXPECT_THAT(axis.values, ElementsAre("[1, 2]", "{c: 3, d: [4, 5]}", "'x, y'", "null"));
  for (const char* text : {"a", "=1", "a=", "a=1,,2", "a=1,"}) EXPECT_THROW(parse_axis(text), InputError) << text;
}

TEST(SweepPlan, NamesOfDirectoriesAreSafeAndDistinct) {
  const SmallExperiment e(300);
  SweepConfig config = small_sweep(e);
  config.axes = {parse_axis("model_root=../a/b,../a_b,.. a_b," + std::string(200, 'x'))};
  config.overrides.push_back("tensorboard=true");
  std::vector<std::string> labels;
  try {
    plan_sweep(config);
  } catch (const InputError& error) {  // a key that shapes no result makes no new training
    EXPECT_THAT(error.what(), HasSubstr("have the same settings"));
  }
  config.axes = {parse_axis("train_data=" + (e.directory / "data/train.csv") + "," + (e.directory / "data//train.csv") +
                            "," + (e.directory / "data/./train.csv"))};
  labels = names(plan_sweep(config));
  for (const std::string& name : labels) {
    EXPECT_EQ(name.find_first_of("/ []"), std::string::npos) << name;
    EXPECT_LT(name.size(), 120u);
  }
  EXPECT_EQ(std::set<std::string>(labels.begin(), labels.end()).size(), 3u);
}

TEST(SweepPlan, AnotherWayToPrepareADataSetHasACacheOfItsOwn) {
  const SmallExperiment e(300);
  SweepConfig config = small_sweep(e);
  const std::string own = plan_sweep(config).runs[0].config.dataset_id;
  config.axes = {parse_axis("min_categr_count=1,7"), parse_axis("learning_rate=0.1,0.2")};
  const std::vector<SweepRun> runs = plan_sweep(config).runs;
  EXPECT_EQ(runs[0].config.dataset_id, own);  // 1 is what the data set has
  EXPECT_EQ(runs[1].config.dataset_id, own);
  EXPECT_THAT(runs[2].config.dataset_id, testing::MatchesRegex(own + "_[0-9a-f]{8}"));
  EXPECT_EQ(runs[2].config.dataset.id, runs[2].config.dataset_id);
  EXPECT_EQ(runs[3].config.dataset_id, runs[2].config.dataset_id);
  config.axes[0] = parse_axis("min_categr_count=7");
  EXPECT_EQ(plan_sweep(config).runs[0].config.dataset_id, runs[2].config.dataset_id);
}

RunRecord record(std::vector<double> students, double ensemble, double logloss, double seconds) {
  RunRecord r;
  Evaluation e;
  e.ensemble = {{"auc", ensemble}, {"logloss", logloss}};
  for (const double auc : students) e.students.push_back({{"auc", auc}, {"logloss", 0.5}});
  r.valid = r.test = e;
  r.valid->ensemble.set("auc", 0.5);
  r.parameters = 42;
  TrainingListener::Evaluated last{};
  last.seconds = seconds;
  last.step = 100;
  r.evaluations = {last};
  CollapseReport collapse;
  for (size_t k = 0; k < students.size(); ++k) {
    for (const double abundance : {100.0, 2.0 + static_cast<double>(k)}) {  // the last layer counts
      CollapseReport::Entry layer;
      layer.name = "student " + std::to_string(k + 1) + (abundance == 100 ? " hidden 1" : " hidden 2");
      layer.spectrum.information_abundance = abundance;
      collapse.layers.push_back(layer);
    }
  }
  if (students.size() > 1)
    collapse.mean_distance_to_ensemble = (students[1] - students[0]) * (students[1] - students[0]);
  r.collapse = collapse;
  return r;
}

TEST(SweepTable, HasMeansAndDeviationsOverSeeds) {
  const SmallExperiment e(300);
  SweepConfig config = small_sweep(e);
  config.axes[0] = ensembles_axis({EnsembleKind::kdef, EnsembleKind::concat});
  config.axes[1] = students_axis({2});
  config.seed_count = 2;
  const SweepPlan plan = plan_sweep(config);
  std::vector<std::optional<RunRecord>> records = {record({0.625, 0.75}, 0.75, 0.5, 3),
                                                   record({0.5, 0.75}, 0.875, 0.25, 5),
                                                   record({0.1, 0.2}, 0.625, 0.5, 4), std::nullopt};
  for (size_t i = 0; i < 3; ++i) records[i]->config = plan.runs[i].config;
  const SweepTable table = sweep_table(plan, records);
  EXPECT_EQ(table.finished, 3u);
  EXPECT_EQ(table.planned, 4u);
  ASSERT_EQ(table.rows.size(), 2u);
  const SweepRow& kdef = table.rows[0];
  EXPECT_EQ(kdef.summary.runs, 2u);
  EXPECT_EQ(kdef.summary.metrics["auc"].mean, 0.8125);
  EXPECT_NEAR(kdef.summary.metrics["auc"].deviation, 0.125 / std::sqrt(2.0), 1e-15);  // of the sample: n - 1
  EXPECT_EQ(kdef.summary.metrics["logloss"].mean, 0.375);
  EXPECT_EQ(kdef.summary.student_mean.mean, (0.6875 + 0.625) / 2);
  EXPECT_EQ(kdef.summary.student_weakest.mean, (0.625 + 0.5) / 2);
  EXPECT_EQ(kdef.summary.student_deviation.mean, (0.0625 + 0.125) / 2);  // of the population within a run
  EXPECT_EQ(kdef.summary.distance.mean, (0.015625 + 0.0625) / 2);
  EXPECT_TRUE(std::isnan(table.rows[1].summary.distance.mean));  // concat trains no output layers of students
  EXPECT_EQ(kdef.summary.abundance.mean, 2.5);
  EXPECT_EQ(kdef.summary.seconds.mean, 4);
  EXPECT_EQ(
      to_csv(table).substr(to_csv(table).find('\n') + 1),
      "kdef,2,2,test,0.8125,0.08838834764831845,0.375,0.1767766952966369,0.65625,0.5625,0.09375,0.0390625,2.5,42,40,4\n"
      "concat,2,1,test,0.625,,0.5,,,,,,2.5,42,40,4\n");
  const std::string markdown = to_markdown(table);
  EXPECT_THAT(markdown, HasSubstr("3 of 4 runs are finished. Test data"));
  EXPECT_THAT(markdown, HasSubstr("| kdef | 2 | 2 | 0.812500 ± 0.088388 | 0.375000 ± 0.176777 | 0.656250 ± "));
  EXPECT_THAT(markdown, HasSubstr("| concat | 2 | 1 | 0.625000 | 0.500000 |  |  |  |  | 2.50 | 42 | 40.00 | 4.0 |"));

  // Without test data of one run, all figures are of the validation data.
  records[2]->test.reset();
  const SweepTable valid = sweep_table(plan, records);
  EXPECT_EQ(valid.rows[0].summary.metrics["auc"].mean, 0.5);
  EXPECT_THAT(to_csv(valid), HasSubstr("kdef,2,2,valid,0.5,0,"));
}

TEST(SweepTable, SaysAReasonOnceForAllRunsThatHaveIt) {
  SweepTable table;
  table.failures = {{"a", "has no model"}, {"b", "diverges"}, {"c", "has no model"}};
  const std::string markdown = to_markdown(table);
  EXPECT_THAT(markdown, HasSubstr("\nFailed: a, c: has no model\n\nFailed: b: diverges\n"));
}

TEST(SweepTable, OneStudentCountsToEveryEnsembleThatItServes) {
  const SmallExperiment e(300);
  SweepConfig config = small_sweep(e);
  config.axes[0] = ensembles_axis(kAll);
  config.axes[1] = students_axis({1});
  const SweepTable table = sweep_table(plan_sweep(config), {record({0.75}, 0.75, 0.5, 1), record({0.5}, 0.5, 0.5, 1)});
  ASSERT_EQ(table.rows.size(), 4u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(table.rows[i].summary.metrics["auc"].mean, 0.75);
  EXPECT_EQ(table.rows[3].summary.metrics["auc"].mean, 0.5);
}

TEST(SweepTable, HasAColumnForEveryKey) {
  const SmallExperiment e(300);
  SweepConfig config = small_sweep(e);
  config.overrides = {"data_root=" + (e.directory / "cache")};
  config.axes = {parse_axis("hidden_units=[8, 4],[8]"), parse_axis("monitor='AUC',\"logloss\"")};
  SweepPlan plan = plan_sweep(config);
  std::vector<std::optional<RunRecord>> records(4);
  records[1] = record({0.5, 0.75}, 0.875, 0.25, 5);
  records[1]->config = plan.runs[1].config;
  const std::string csv = to_csv(sweep_table(plan, records));
  EXPECT_THAT(csv, testing::StartsWith("hidden_units,monitor,seeds,data,auc,"));
  EXPECT_THAT(csv,
              HasSubstr("\n\"[8, 4]\",\"\"\"logloss\"\"\",1,test,0.875,,0.25,,0.625,0.5,0.125,0.0625,2.5,42,50,5\n"));
  plan.has_named_runs = true;
  plan.runs[1].name = "A_002_01234567";
  const std::string markdown = to_markdown(sweep_table(plan, records));
  EXPECT_THAT(markdown, HasSubstr("| experiment | hidden_units | monitor | seeds | AUC |"));
  EXPECT_THAT(markdown, HasSubstr("| A_002_01234567 | [8, 4] | \"logloss\" | 1 | 0.875000 |"));
  std::istringstream lines(markdown.substr(markdown.find("\n- ")));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
}

// Runs the sweep and stops after so many steps. True: it came to its end.
bool run(const SweepConfig& config, int64_t stop_after, std::vector<std::string>* started = nullptr) {
  Sweep sweep(config);
  int64_t steps = 0;
  RunOptions each;
  each.listener.step = [&](const TrainingListener::Step&) { ++steps; };
  each.listener.stop_requested = [&] { return steps >= stop_after; };
  return sweep.run(each, [&](size_t i) {
    if (started) started->push_back(sweep.runs()[i].name);
  });
}

// Without the last columns, the times, which differ from run to run.
std::string table_of(const SweepConfig& config) {
  std::istringstream csv(test::read_file(config.directory + "/sweep.csv"));
  std::string text;
  for (std::string line; std::getline(csv, line);) text += line.substr(0, line.rfind(',', line.rfind(',') - 1)) + "\n";
  return text;
}

constexpr int64_t kNever = 1 << 30;

TEST(Sweep, StoppedAnywhereItComesToTheSameTableWithoutRepeatingARun) {
  const SmallExperiment e(2000);
  const SweepConfig whole = small_sweep(e, "whole"), part = small_sweep(e, "part");
  std::vector<std::string> started;
  ASSERT_TRUE(run(whole, kNever, &started));
  EXPECT_THAT(started, ElementsAre("mean-M1-seed2024", "kdef-M2-seed2024", "mean-M2-seed2024"));
  EXPECT_THAT(table_of(whole), HasSubstr("kdef,2,1,test,0."));

  // 4 steps an epoch, 2 epochs a run: one run and a half at a time.
  int times = 0;
  std::vector<std::string> again;
  while (!run(part, 5, &again)) ASSERT_LT(++times, 50) << "it does not come forward";
  EXPECT_GE(times, 3);
  EXPECT_EQ(again.front(), started.front());
  EXPECT_GT(again.size(), started.size());
  EXPECT_EQ(table_of(part), table_of(whole));
  for (const std::string& name : started) {
    EXPECT_EQ(test::read_file(part.directory + "/runs/" + name + "/model.safetensors"),
              test::read_file(whole.directory + "/runs/" + name + "/model.safetensors"));
  }
  again.clear();
  EXPECT_TRUE(run(part, kNever, &again));
  EXPECT_TRUE(again.empty());

  // A longer list adds runs, and leaves the others.
  SweepConfig more = part;
  more.seed_count = 2;
  EXPECT_TRUE(run(more, kNever, &again));
  EXPECT_THAT(again, ElementsAre("mean-M1-seed2025", "kdef-M2-seed2025", "mean-M2-seed2025"));
  EXPECT_THAT(table_of(more), HasSubstr("kdef,2,2,test,0."));
}

TEST(Sweep, KnowsWhatIsDoneAndHowLongTheRestTakes) {
  const SmallExperiment e(2000);
  const SweepConfig config = small_sweep(e);
  EXPECT_FALSE(Sweep(config).seconds_left());
  EXPECT_FALSE(std::filesystem::exists(config.directory)) << "looking wrote something";
  ASSERT_FALSE(run(config, 10));  // 8 steps of the first run, 2 of the second
  const Sweep sweep(config);
  EXPECT_EQ(sweep.state(0), SweepState::finished);
  EXPECT_EQ(sweep.state(1), SweepState::started);
  EXPECT_EQ(sweep.state(2), SweepState::open);
  // Four students are left, one is done.
  EXPECT_NEAR(*sweep.seconds_left(), 4 * read_run(sweep.run_directory(0)).evaluations.back().seconds, 1e-9);
}

TEST(Sweep, RefusesRunsOfOtherSettings) {
  const SmallExperiment e(2000);
  SweepConfig config = small_sweep(e);
  ASSERT_FALSE(run(config, 10));
  config.overrides.push_back("learning_rate=0.01");
  EXPECT_THAT(refusal(config),
              HasSubstr("mean-M1-seed2024: was made with other settings: learning_rate (0.001 before, 0.01 now);"));
  // What shapes no result may change.
  config.overrides.back() = "checkpoint_every=3";
  EXPECT_EQ(refusal(config), "");
  config.directory += "/runs/mean-M1-seed2024";
  EXPECT_THAT(refusal(config), HasSubstr("is the directory of a run"));
}

TEST(Sweep, ARunThatDivergesIsPutDownAndTheOthersGoOn) {
  const SmallExperiment e(2000);
  SweepConfig config = small_sweep(e);
  config.overrides.insert(config.overrides.end(), {"learning_rate=1e30", "batch_norm=False"});
  Sweep sweep(config);
  size_t started = 0;
  EXPECT_TRUE(sweep.run({}, [&](size_t) { ++started; }));
  EXPECT_EQ(started, 3u);
  ASSERT_EQ(sweep.table().failures.size(), 3u);
  EXPECT_EQ(sweep.table().failures[1].name, "kdef-M2-seed2024");
  EXPECT_THAT(test::read_file(config.directory + "/sweep.md"),
              HasSubstr("Failed: mean-M1-seed2024, kdef-M2-seed2024, mean-M2-seed2024: step "));
}

}  // namespace
}  // namespace kdef
