// What is read back from a run directory, and how damaged files are reported.
#include "kdef/run/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/io/file.h"
#include "core/io/safetensors.h"
#include "kdef/train/run_files.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using test::SmallExperiment;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The files of a run of one epoch.
RunFiles trained(const SmallExperiment& e) {
  RunOptions options;
  options.directory = e.directory / "run";
  run_experiment(e.load({"epochs=1"}), options);
  return RunFiles(options.directory);
}

TEST(RunRecord, IsWhatTheTrainingReported) {
  const SmallExperiment e(1000);
  RunOptions options;
  options.directory = e.directory / "run";
  std::vector<TrainingListener::Evaluated> told;
  options.listener.evaluated = [&](const TrainingListener::Evaluated& x) { told.push_back(x); };
  const TrainingResult result = run_experiment(e.load({"epochs=2", "collapse_every=1"}), options);
  const RunRecord record = read_run(options.directory);
  EXPECT_THAT(record.notes, IsEmpty());
  ASSERT_EQ(record.evaluations.size(), told.size());
  for (size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(record.evaluations[i].step, told[i].step);
    EXPECT_EQ(record.evaluations[i].train_loss, told[i].train_loss);
    EXPECT_EQ(record.evaluations[i].train["logloss"], told[i].train["logloss"]);
    EXPECT_GT(told[i].train["logloss"], 0);
    EXPECT_EQ(record.evaluations[i].valid.ensemble["auc"], told[i].valid.ensemble["auc"]);
  }
  EXPECT_EQ(record.test->ensemble["logloss"], result.test.ensemble["logloss"]);
  EXPECT_EQ(record.collapse_history.size(), told.size());
  EXPECT_EQ(record.collapse->last_layers().size(), 3u);
  EXPECT_EQ(record.parameters, kdef::Run(options.directory).model().parameter_count());
}

// Lines of earlier versions have no "train", those of later ones may have other keys.
TEST(RunRecord, LinesOfOtherVersionsAreRead) {
  const SmallExperiment e(1000);
  const RunFiles files = trained(e);
  const double auc = read_run(files.directory()).evaluations.at(0).valid.ensemble["auc"];
  nlohmann::json line = nlohmann::json::parse(test::read_file(files.metrics()));
  ASSERT_EQ(line.erase("train"), 1u);
  line["of_a_later_version"] = {1, 2};
  write_file(files.metrics(), line.dump() + "\n");
  const RunRecord record = read_run(files.directory());
  EXPECT_THAT(record.notes, IsEmpty());
  EXPECT_TRUE(record.evaluations.at(0).train.measured().empty());
  EXPECT_EQ(record.evaluations.at(0).valid.ensemble["auc"], auc);
}

TEST(RunRecord, MissingAndDamagedFilesBecomeNotes) {
  const SmallExperiment e(1000);
  const RunFiles files = trained(e);
  remove_file(files.collapse());
  write_file(files.metrics(), "{\"step\":\"four\"}\n");
  const RunRecord record = read_run(files.directory());
  EXPECT_THAT(record.notes, ElementsAre(HasSubstr(files.metrics() + ":1"),
                                        HasSubstr("There is no collapse.json: make it with: kdef collapse --run " +
                                                  files.directory())));
  EXPECT_TRUE(record.finished());
  remove_file(files.config());
  EXPECT_THROW(read_run(files.directory()), InputError);
}

TEST(RunRecord, DeepAndImpossibleNumbersAreNoted) {
  const SmallExperiment e(1000);
  const RunFiles files = trained(e);
  const std::string result = test::read_file(files.result()), collapse = test::read_file(files.collapse()),
                    metrics = test::read_file(files.metrics());
  const auto note = [&](const std::string& file, const std::string& whole, const std::string& text) {
    write_file(file, text);
    const RunRecord record = read_run(files.directory());
    write_file(file, whole);
    return record.notes.empty() ? "none" : record.notes.front();
  };
  const std::string deep = std::string(100000, '[');
  EXPECT_THAT(note(files.result(), result, deep),
              HasSubstr("result.json: is not a file that kdef wrote: its text: its JSON has more than 64 levels"));
  EXPECT_THAT(note(files.collapse(), collapse, deep), HasSubstr("more than 64 levels"));
  EXPECT_THAT(note(files.metrics(), metrics, "{\"step\":" + deep + "\n"),
              HasSubstr("metrics.jsonl:1: is not a file that kdef wrote: its text: "));
  for (const char* bad : {"-1", "1e300", "0.5", "18446744073709551615", "9007199254740993"}) {
    EXPECT_THAT(
        note(files.metrics(), metrics, cat("{\"step\":", bad, ",\"epoch\":1}\n")),
        HasSubstr("metrics.jsonl:1: is not a file that kdef wrote: step: expected a whole number from 0 to 2^53"))
        << bad;
  }
  const std::string bins = R"(,"calibration":[)";
  ASSERT_NE(result.find(bins), std::string::npos);
  const auto with_bins = [&](const std::string& text) {
    return std::string(result).insert(result.find(bins) + bins.size(), text);
  };
  EXPECT_THAT(note(files.result(), result, with_bins("[1e300,0,0],")), HasSubstr("lists of three numbers from 0 to 1"));
  EXPECT_EQ(note(files.result(), result, result), "none");
}

TEST(RunRecord, AStepThatIsNoNumberIsNoted) {
  const SmallExperiment e(1000);
  const RunFiles files = trained(e);
  const auto with_step = [&](const std::string& step) {
    write_safetensors(files.model(), {{"w", Tensor::zeros({2, 3})}}, {{"step", step}});
    return read_run(files.directory());
  };
  EXPECT_EQ(with_step("12").model_step, 12);
  const RunRecord record = with_step("12 steps");
  EXPECT_FALSE(record.model_step);
  EXPECT_THAT(record.notes, ElementsAre(HasSubstr("'step' is '12 steps'; a whole number is expected")));
}

TEST(RunRecord, ALineThatIsStillBeingWrittenIsLeftOut) {
  const test::TemporaryDirectory directory;
  TrainingListener::Evaluated e{};
  e.step = 7;
  e.valid.ensemble = {{"auc", 0.5}, {"logloss", 0.7}};
  write_file(directory / "metrics.jsonl", metrics_line(e) + "\n{\"step\":");
  const auto read = read_metrics(directory / "metrics.jsonl");
  ASSERT_EQ(read.size(), 1u);
  EXPECT_EQ(read[0].step, 7);
}

TEST(RunRecord, StatisticsAreOverFiniteValues) {
  const Statistic s = statistic({1, std::nan(""), 4});
  EXPECT_EQ(s.mean, 2.5);
  EXPECT_NEAR(s.deviation, 1.5 * std::sqrt(2.0), 1e-15);
  EXPECT_TRUE(std::isnan(statistic({3}).deviation));
  EXPECT_TRUE(std::isnan(statistic({}).mean));
}

TEST(RunRecord, PathsInCommandsAreWordsOfAShell) {
  EXPECT_EQ(shell_word("runs/a-1.csv"), "runs/a-1.csv");
  EXPECT_EQ(shell_word("it's $HOME"), "'it'\\''s $HOME'");
  EXPECT_EQ(shell_word(""), "''");
}

}  // namespace
}  // namespace kdef
