// Sweeps over any keys, tuner files, and trainings as processes, as a user runs them.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "tests/cli/support.h"

namespace kdef::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class SearchTest : public RunTest {
 protected:
  std::string grid(const std::string& out, const std::string& more = "") const {
    return "sweep --config " + path("data") + " --expid KDEF --over learning_rate=1e-3,1e-2 --over " +
           "'hidden_units=[8],[8,4]' --out " + path(out) + " data_root=" + path("cache") +
           " batch_size=512 epochs=3 early_stop_patience=100 num_student=2 --threads 2 " + more;
  }
  // sweep.csv without its last columns, the times.
  std::vector<std::string> table(const std::string& sweep) const {
    std::vector<std::string> rows = lines(read_file(path(sweep + "/sweep.csv")));
    for (std::string& row : rows) row = row.substr(0, row.rfind(',', row.rfind(',') - 1));
    return rows;
  }
  std::vector<std::string> runs(const std::string& sweep) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path(sweep + "/runs"))) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  void expect_same_models(const std::string& a, const std::string& b) const {
    ASSERT_EQ(runs(a), runs(b));
    for (const std::string& run : runs(a)) {
      EXPECT_EQ(read_file(path(a + "/runs/" + run + "/model.safetensors")),
                read_file(path(b + "/runs/" + run + "/model.safetensors")))
          << run;
    }
  }
  // Runs a script that starts the program in the background.
  Outcome script(const std::string& text) const {
    put(path("script.sh"), text);
    return shell("sh " + path("script.sh"));
  }
  void put_tuner(const std::string& name, const std::string& space) const {
    put(path(name), "base_config: " + path("data") + "\nbase_expid: KDEF\ntuner_space:\n" + space);
  }
  std::string tune(const std::string& file, const std::string& more = "") const {
    return "tune " + path(file) + " data_root=" + path("cache") +
           " epochs=2 early_stop_patience=100 num_student=2 --threads 2 " + more;
  }
};

TEST_F(SearchTest, JobsComputeWhatOneTrainingAfterTheOtherComputes) {
  const Outcome one = kdef(grid("one")), two = kdef(grid("two", "--jobs 2"));
  ASSERT_EQ(one.status, 0) << one.text;
  ASSERT_EQ(two.status, 0) << two.text;
  EXPECT_THAT(
      runs("one"),
      ElementsAre("learning_rate=1e-2-hidden_units=8,4-seed2024", "learning_rate=1e-2-hidden_units=8-seed2024",
                  "learning_rate=1e-3-hidden_units=8,4-seed2024", "learning_rate=1e-3-hidden_units=8-seed2024"));
  EXPECT_EQ(table("two"), table("one"));
  EXPECT_THAT(table("one")[2], AllOf(testing::StartsWith("1e-3,\"[8,4]\",1,test,0."), Not(HasSubstr("kdef"))));
  expect_same_models("one", "two");
  EXPECT_THAT(one.text,
              HasSubstr("Run 1 of 4: kdef, 2 students, seed 2024\n    learning_rate=1e-3  hidden_units=[8]\n"));
  EXPECT_THAT(
      two.text,
      HasSubstr("Run 2 of 4 started: kdef, 2 students, seed 2024\n    learning_rate=1e-3  hidden_units=[8,4]\n"));
  EXPECT_THAT(two.text, HasSubstr("Run 4 of 4 finished in 0:0"));
  EXPECT_THAT(read_file(path("two/logs/learning_rate=1e-3-hidden_units=8-seed2024.log")), HasSubstr("Done in "));
  // The same training alone, and with another number of threads.
  ASSERT_EQ(train("num_student=2 'hidden_units=[8,4]' learning_rate=1e-2 --threads 1 --run " + path("alone")).status,
            0);
  EXPECT_EQ(read_file(path("alone/model.safetensors")),
            read_file(path("two/runs/learning_rate=1e-2-hidden_units=8,4-seed2024/model.safetensors")));
  ASSERT_EQ(kdef("report " + path("two") + " --out " + path("grid.html")).status, 0);
  EXPECT_THAT(read_file(path("grid.html")),
              AllOf(HasSubstr("<h3>What each key does</h3>"), HasSubstr("learning_rate")));
}

TEST_F(SearchTest, JobsThatAreKilledOrStoppedContinue) {
  const std::string more = "checkpoint_every=2 epochs=20 --jobs 2";
  ASSERT_EQ(kdef(grid("whole", more)).status, 0);
  const std::string program = std::string(KDEF_PROGRAM) + " " + grid("part", more);
  const std::string begun =
      "for i in $(seq 6000); do [ -e " +
      path("part/runs/learning_rate=1e-3-hidden_units=8,4-seed2024/checkpoint/state.safetensors") +
      " ] && break; sleep 0.01; done\n";
  // kill -9 of the sweep alone ends the trainings, too: their directories are free at once.
  script(program + " >/dev/null 2>&1 & first=$!\n" + begun + "kill -9 $first; wait $first 2>/dev/null; true");
  const Outcome stopped = script(program + " >" + path("out") + " 2>&1 & second=$!\n" +
                                 "sleep 0.5; kill -INT $second; wait $second; echo status $?");
  const std::string text = read_file(path("out"));
  if (stopped.text.find("status 130") != std::string::npos) {
    EXPECT_THAT(text, HasSubstr("run the same command again to continue"));
  }
  EXPECT_THAT(text, Not(HasSubstr("another training is writing there")));
  const Outcome rest = kdef(grid("part", more));
  EXPECT_EQ(rest.status, 0) << rest.text;
  EXPECT_EQ(table("part"), table("whole"));
  expect_same_models("part", "whole");
  EXPECT_THAT(kdef(grid("part", more + " --dry-run --resume")).text, HasSubstr("4 runs, 0 to train"));
  const Outcome nothing = kdef(grid("prat", more + " --resume"));
  EXPECT_EQ(nothing.status, 2);
  EXPECT_THAT(nothing.text, HasSubstr("holds no sweep to resume"));
}

TEST_F(SearchTest, ATrainingThatFailsDoesNotStopTheOthers) {
  for (const std::string jobs : {"1", "2"}) {
    const std::string out = "failing" + jobs;
    const Outcome outcome =
        kdef("sweep --config " + path("data") + " --expid KDEF --over learning_rate=1e30,1e-3 --out " + path(out) +
             " data_root=" + path("cache") + " batch_size=512 'hidden_units=[8]' epochs=2 num_student=2 " +
             "batch_norm=False --threads 2 --jobs " + jobs);
    EXPECT_EQ(outcome.status, 1) << outcome.text;
    EXPECT_THAT(read_file(path(out + "/sweep.md")),
                AllOf(HasSubstr("1 of 2 runs are finished"), HasSubstr("Failed: learning_rate=1e30-seed2024: ")));
    EXPECT_EQ(table(out).size(), 2u);
  }
}

TEST_F(SearchTest, AKilledTrainingIsNamedAndTrainedAgain) {
  const std::string program = std::string(KDEF_PROGRAM) + " " + grid("grid", "epochs=30 checkpoint_every=1 --jobs 2");
  const std::string victim = "learning_rate=1e-3-hidden_units=8-seed2024";
  const Outcome outcome =
      script(program + " >" + path("out") + " 2>&1 & sweep=$!\n" + "for i in $(seq 6000); do [ -e " +
             path("grid/runs/" + victim + "/checkpoint/state.safetensors") + " ] && break; sleep 0.01; done\n" +
             "for c in $(cat /proc/$sweep/task/$sweep/children); do grep -q " + victim +
             " /proc/$c/cmdline && kill -9 $c; done; wait $sweep; echo status $?");
  EXPECT_THAT(outcome.text, HasSubstr("status 3"));
  EXPECT_THAT(read_file(path("out")), HasSubstr("Run 1 of 4 failed: it was ended by signal 9"));
  EXPECT_THAT(read_file(path("grid/sweep.md")), HasSubstr("3 of 4 runs are finished"));
  EXPECT_EQ(shell(program).status, 0);
  EXPECT_EQ(table("grid").size(), 5u);
}

TEST_F(SearchTest, EveryWayToPrepareADataSetHasACache) {
  const std::string command = "sweep --config " + path("data") + " --expid KDEF --over min_categr_count=1,5 --out " +
                              path("counts") + " data_root=" + path("cache") +
                              " batch_size=512 'hidden_units=[8]' epochs=1 num_student=2";
  ASSERT_EQ(kdef(command).status, 0);
  std::vector<std::string> caches;
  for (const auto& entry : std::filesystem::directory_iterator(path("cache"))) {
    caches.push_back(entry.path().filename().string());
  }
  EXPECT_EQ(caches.size(), 2u);
  const Outcome again = kdef(command + " --jobs 2");
  EXPECT_EQ(again.status, 0);
  EXPECT_THAT(again.text, Not(HasSubstr("started")));
  ASSERT_EQ(kdef("report " + path("counts") + " --out " + path("r.html")).status, 0);
  EXPECT_THAT(read_file(path("r.html")), HasSubstr("min_categr_count"));
}

TEST_F(SearchTest, ATunerFileIsTrainedUnderFuxictrsNames) {
  put_tuner("space.yaml",
            "    learning_rate: [1.e-3, 1.e-2]\n    hidden_units: [[8], [8, 4]]\n    batch_size: 512\n"
            "    metrics: [[AUC, logloss]]\n");
  const std::vector<std::string> names = lines(kdef("tune " + path("space.yaml") + " --names").text);
  ASSERT_EQ(names.size(), 4u);
  std::vector<std::string> ids;
  for (const std::string& line : names) {
    ids.push_back(line.substr(0, line.find(' ')));
    EXPECT_THAT(line, testing::MatchesRegex("KDEF_00[1-4]_[0-9a-f]{8}  [a-z]+_[0-9a-f]{8}"));
  }
  const std::vector<std::string> before = listing(folder_.string());
  EXPECT_THAT(kdef(tune("space.yaml", "--dry-run")).text, HasSubstr("4 runs, 4 to train"));
  EXPECT_EQ(listing(folder_.string()), before);

  const Outcome outcome = kdef(tune("space.yaml", "--jobs 2"));
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_EQ(runs("space"), ids);
  EXPECT_THAT(outcome.text, HasSubstr("The best 4 of 4 finished runs by `monitor` on validation data:\n1  KDEF_00"));
  const std::vector<std::string> fuxictr = lines(read_file(path("space/fuxictr.csv")));
  ASSERT_EQ(fuxictr.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const auto result = nlohmann::json::parse(read_file(path("space/runs/" + ids[i] + "/result.json")));
    const auto figures = [&](const char* part) {
      std::ostringstream text;
      text << std::fixed << std::setprecision(6) << "AUC: " << result[part]["ensemble"]["auc"].get<double>()
           << " - logloss: " << result[part]["ensemble"]["logloss"].get<double>();
      return text.str();
    };
    EXPECT_THAT(fuxictr[i], testing::MatchesRegex(" 20[0-9]{6}-[0-9]{6},\\[command\\] kdef train --config .*"));
    EXPECT_THAT(fuxictr[i],
                testing::EndsWith(",[exp_id] " + ids[i] + ",[dataset_id] " + names[i].substr(names[i].rfind(' ') + 1) +
                                  ",[train] N.A.,[val] " + figures("valid") + ",[test] " + figures("test")));
  }
  EXPECT_EQ(table("space")[0].substr(0, 50), "experiment,learning_rate,hidden_units,seeds,data,a")
      << "the order of the base's keys";
  EXPECT_THAT(kdef(tune("space.yaml", "--tag _002_ --dry-run")).text, HasSubstr("1 runs, 0 to train"));
  ASSERT_EQ(kdef("report " + path("space") + " --out " + path("space.html")).status, 0);
  EXPECT_THAT(read_file(path("space.html")), AllOf(HasSubstr(ids[0]), HasSubstr("learning_rate")));
}

// As in FuxiCTR, whose run_expid.py fails alone.
TEST_F(SearchTest, AnExperimentThatCannotBeLoadedIsLeftOut) {
  put_tuner("space.yaml", "    model: [KDEF, DIN2, DIN3]\n    learning_rate: [1.e-3, 1.e-2]\n");
  const Outcome dry = kdef(tune("space.yaml", "--dry-run"));
  EXPECT_EQ(dry.status, 2) << dry.text;
  EXPECT_THAT(dry.text, AllOf(HasSubstr("2 runs, 2 to train"), HasSubstr("found 'DIN2'"), HasSubstr("found 'DIN3'"),
                              HasSubstr("\n  left out: KDEF_00"), HasSubstr(" and 1 more; 2 other experiments")));
  const Outcome outcome = kdef(tune("space.yaml"));
  EXPECT_EQ(outcome.status, 2) << outcome.text;
  EXPECT_EQ(runs("space").size(), 2u);
  const std::string table = read_file(path("space/sweep.md"));
  EXPECT_THAT(table,
              AllOf(HasSubstr("2 of 2 runs are finished"), HasSubstr("\nFailed: KDEF_00"),
                    HasSubstr("space.yaml:4:19: key 'model': "), HasSubstr("found 'DIN2'"), HasSubstr("found 'DIN3'")));
}

TEST_F(SearchTest, WhatCannotBeSearchedIsRefused) {
  put_tuner("wrong.yaml", "    lerning_rate: [1, 2]\n");
  put_tuner("model.yaml", "    model: [DIN1, DIN2]\n");
  put_tuner("good.yaml", "    seed: [1, 2]\n");
  const std::string sweep = "sweep --config " + path("data") + " --expid KDEF --out " + path("sweep") + " ";
  for (const auto& [command, words] : std::vector<std::pair<std::string, std::string>>{
           {sweep + "--over learning_rate", "--over: expected KEY=VALUE,VALUE.., found 'learning_rate'"},
           {sweep + "--over learning_rate=1,,2", "a value is missing"},
           {sweep + "--over lerning_rate=1", "the nearest known key is 'learning_rate'"},
           {sweep + "--over seed=1,2", "--seeds or --seed-list"},
           {sweep + "--over epochs=1 --over epochs=2", "epochs: is varied twice"},
           {sweep + "--over epochs=1,2 epochs=3",
            "epochs=3: the sweep sets epochs; give its values with --over epochs="},
           {sweep + "--over learning_rate=0.01,1e-2", "have the same settings"},
           {sweep + "--over epochs=1,2 --jobs 0", "--jobs: expected an integer of at least 1"},
           {"tune", "a file is missing"},
           {"tune " + path("missing.yaml"), "there is no such file"},
           {"tune " + path("wrong.yaml"),
            "wrong.yaml:4:5: key 'tuner_space.lerning_rate': neither the base experiment"},
           {"tune " + path("model.yaml"), "none of 2 can be loaded; experiment KDEF_001_"},
           {"tune " + path("model.yaml") + " --tag _002_", "experiment KDEF_002_"},
           {"tune " + path("good.yaml") + " --tag x_y", "no experiment's name contains 'x_y'"},
           {"tune " + path("good.yaml") + " --base-config " + path("none"),
            "there is no such configuration directory"}}) {
    const Outcome outcome = kdef(command);
    EXPECT_EQ(outcome.status, 2) << command << outcome.text;
    EXPECT_THAT(outcome.text, HasSubstr(words)) << command;
  }
  EXPECT_FALSE(std::filesystem::exists(path("sweep")));
  EXPECT_FALSE(std::filesystem::exists(path("good")));
}

}  // namespace
}  // namespace kdef::test
