// Whole runs on data shaped as the published ones, and runs that meet each other or lose files on the way.
#include <csignal>
#include <nlohmann/json.hpp>

#include "tests/cli/support.h"

namespace kdef::test {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> keys(const Json& object) {
  std::vector<std::string> names;
  for (const auto& item : object.items()) names.push_back(item.key());
  return names;
}

// {"ensemble": {"auc", "logloss", "normalized_entropy"}, "students": [{..}, ...]}; with bins for the calibration plot.
void expect_evaluation(const Json& evaluation, size_t students, bool bins) {
  EXPECT_THAT(keys(evaluation), testing::UnorderedElementsAre("ensemble", "students"));
  ASSERT_EQ(evaluation["students"].size(), students);
  std::vector<Json> all(evaluation["students"].begin(), evaluation["students"].end());
  all.push_back(evaluation["ensemble"]);
  for (const Json& quality : all) {
    std::vector<std::string> expected = {"auc", "logloss", "normalized_entropy"};
    if (bins) expected.emplace_back("calibration");
    EXPECT_THAT(keys(quality), testing::UnorderedElementsAreArray(expected));
    for (const Json& bin : quality.value("calibration", Json::array())) EXPECT_EQ(bin.size(), 3u);
    EXPECT_GT(quality["auc"].get<double>(), 0);
    EXPECT_LT(quality["auc"].get<double>(), 1);
    EXPECT_GT(quality["logloss"].get<double>(), 0);
  }
}

TEST_F(RunTest, RecordsHaveTheFixedLayout) {
  ASSERT_EQ(train("num_student=2 --run " + path("run")).status, 0);
  const std::vector<std::string> records = lines(read_file(path("run/metrics.jsonl")));
  ASSERT_EQ(records.size(), 3u);  // one per epoch
  for (size_t i = 0; i < records.size(); ++i) {
    const Json record = Json::parse(records[i]);
    EXPECT_THAT(keys(record),
                testing::UnorderedElementsAre("step", "epoch", "seconds", "lr", "train_loss", "train", "valid"));
    EXPECT_THAT(keys(record["train"]), testing::UnorderedElementsAre("logloss"));
    EXPECT_EQ(record["epoch"], i + 1);
    EXPECT_EQ(record["step"], 5 * (i + 1));  // 2400 rows in batches of 512
    EXPECT_GE(record["seconds"].get<double>(), 0);
    EXPECT_GT(record["train_loss"].get<double>(), 0);
    expect_evaluation(record["valid"], 2, false);
  }
  const Json result = Json::parse(read_file(path("run/result.json")));
  EXPECT_THAT(keys(result), testing::UnorderedElementsAre("valid", "test"));
  expect_evaluation(result["valid"], 2, true);
  expect_evaluation(result["test"], 2, true);
}

TEST_F(RunTest, TheResolvedConfigurationStandsAlone) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  const std::string config = read_file(path("run/config.yaml")), result = read_file(path("run/result.json"));
  // Without the configuration that it was made from, a finished run resumes to the same results.
  std::filesystem::remove(path("data/model_config.yaml"));
  std::filesystem::remove(path("data/dataset_config.yaml"));
  const Outcome resumed = kdef("train --resume --run " + path("run"));
  EXPECT_EQ(resumed.status, 0) << resumed.text;
  EXPECT_EQ(read_file(path("run/config.yaml")), config);
  EXPECT_EQ(read_file(path("run/result.json")), result);
  // Other settings are not those of the checkpoint.
  const Outcome other = kdef("train --resume --run " + path("run") + " learning_rate=0.1");
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.text, HasSubstr("other settings: "));
  // Nor is the training data needed to predict.
  std::filesystem::rename(path("data/test.csv"), path("rows.csv"));
  std::filesystem::remove_all(path("data"));
  std::filesystem::remove_all(path("cache"));
  const Outcome predicted = kdef("predict --run " + path("run") + " --data " + path("rows.csv") + " --out -");
  EXPECT_EQ(predicted.status, 0);
  EXPECT_EQ(lines(predicted.text).size(), 300u);
}

TEST_F(RunTest, OtherWordsOfTheSameIdsAreOtherData) {
  ASSERT_EQ(train("num_student=2 epochs=1 --run " + path("run")).status, 0);
  rename_cities("c");
  const Outcome resumed = kdef("train --resume --run " + path("run"));
  EXPECT_EQ(resumed.status, 2) << resumed.text;
  EXPECT_THAT(resumed.text, testing::HasSubstr("with other data"));
  rename_cities("");
  EXPECT_EQ(kdef("train --resume --run " + path("run")).status, 0);
}

TEST_F(RunTest, ASecondTrainingIntoOneDirectoryIsRefusedWhileTheFirstRuns) {
  const std::string run = path("run"),
                    more = " epochs=1000000 early_stop_patience=1000000 checkpoint_every=1 --run " + run;
  const std::string script = std::string(KDEF_PROGRAM) + " " + train_command(more) + " >/dev/null 2>&1 & first=$!\n" +
                             "while [ ! -e " + run + "/checkpoint/state.safetensors ]; do sleep 0.02; done\n" +
                             KDEF_PROGRAM + " train --resume --run " + run + "; echo status $?\n" + KDEF_PROGRAM + " " +
                             train_command("--overwrite " + more) + "; echo status $?\n" +
                             "kill -9 $first; wait $first 2>/dev/null; true";
  put(path("script.sh"), script);
  const Outcome outcome = shell("sh " + path("script.sh"));
  EXPECT_THAT(outcome.text, HasSubstr("another training is writing there"));
  std::vector<std::string> statuses;
  for (const std::string& line : lines(outcome.text)) {
    if (line.rfind("status ", 0) == 0) statuses.push_back(line);
  }
  EXPECT_THAT(statuses, testing::ElementsAre("status 2", "status 2"));
  // The killed one holds nothing any more.
  EXPECT_EQ(train("--overwrite --run " + run).status, 0);
}

TEST_F(RunTest, FilesThatVanishDuringARun) {
  // The whole directory: the next checkpoint says so, and the program ends.
  const std::string run = path("run");
  put(path("script.sh"),
      std::string(KDEF_PROGRAM) + " " + train_command("epochs=1000000 early_stop_patience=1000000 --run " + run) +
          " & first=$!\nwhile [ ! -e " + run + "/checkpoint/state.safetensors ]; do sleep 0.02; done\nmv " + run + " " +
          path("moved") + "\nwait $first; echo status $?");
  const Outcome outcome = shell("sh " + path("script.sh"));
  EXPECT_EQ(lines(outcome.text).back(), "status 3") << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr(run));

  // The record of metrics: it begins anew on resume, with no hole in it.
  ASSERT_EQ(train("--overwrite early_stop_patience=1 --run " + run).status, 0);
  std::filesystem::remove(run + "/metrics.jsonl");
  EXPECT_EQ(kdef("train --resume --run " + run).status, 0);
  EXPECT_EQ(read_file(run + "/metrics.jsonl"), "");
  // The best model: a finished run cannot give it back.
  std::filesystem::remove(run + "/model.safetensors");
  const Outcome lost = kdef("train --resume --run " + run);
  EXPECT_EQ(lost.status, 2);
  EXPECT_THAT(lost.text, HasSubstr("model.safetensors"));
}

TEST_F(RunTest, KilledPreparationLeavesNoCacheThatCounts) {
  ASSERT_EQ(train("--run " + path("whole")).status, 0);
  std::filesystem::remove_all(path("cache"));
  for (const char* seconds : {"0.01", "0.03", "0.06"}) {
    shell(std::string("timeout -s KILL ") + seconds + " " + KDEF_PROGRAM + " " + train_command("--run " + path("run")));
  }
  const Outcome outcome = train("--overwrite --run " + path("run"));
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_EQ(read_file(path("run/model.safetensors")), read_file(path("whole/model.safetensors")));
  for (const std::string& name : listing(path("cache"))) {
    EXPECT_THAT(name, Not(HasSubstr(".part-")));
  }
}

TEST_F(RunTest, ControlCInTheMiddleOfEpochsChangesNothing) {
  const std::string more = "epochs=6 eval_steps=7 --run ";
  ASSERT_EQ(train(more + path("whole")).status, 0);
  const std::string run = path("run");
  int stops = 0;
  Outcome outcome;
  double seconds = 0.02;
  for (; seconds < 60; seconds *= 1.15) {
    const bool resume = std::filesystem::exists(run + "/checkpoint/state.safetensors");
    outcome = shell("timeout -s INT " + std::to_string(seconds) + " " + KDEF_PROGRAM + " " +
                    train_command((resume ? "--resume --threads 2 " : "--threads 1 ") + more + run));
    if (outcome.text.find("Done in") != std::string::npos) break;
    stops += outcome.text.find("continue with") != std::string::npos;
  }
  ASSERT_THAT(outcome.text, HasSubstr("Done in"));
  EXPECT_GE(stops, 1);
  for (const char* file : {"/model.safetensors", "/result.json", "/config.yaml"})
    EXPECT_EQ(read_file(run + file), read_file(path("whole") + file)) << file;
}

// A handler on the stack of a thread within a product of oneDNN corrupts the heap (apps/stop_signals.h).
TEST_F(RunTest, NoComputingThreadTakesASignal) {
  const Outcome outcome = shell(
      std::string(KDEF_PROGRAM) + " " +
      train_command("epochs=1000000 early_stop_patience=1000000 checkpoint_every=1 --threads 2 --run " + path("run")) +
      " >/dev/null & p=$!; for i in $(seq 600); do [ -s " + path("run/metrics.jsonl") +
      " ] && break; sleep 0.05; done; grep -hs SigBlk /proc/$p/task/*/status; kill -INT $p; wait $p; echo $?");
  const std::vector<std::string> text = lines(outcome.text);
  ASSERT_GE(text.size(), 4u) << "the main thread, a worker, the loader, the watcher: " << outcome.text;
  EXPECT_EQ(text.back(), "130");
  constexpr uint64_t kBoth = 1u << (SIGINT - 1) | 1u << (SIGTERM - 1);
  // All but the watcher, which the kernel shows as open to what it waits for; it is not the main thread.
  int open = 0;
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    ASSERT_EQ(text[i].substr(0, 8), "SigBlk:\t") << outcome.text;
    const bool blocked = (std::stoull(text[i].substr(8), nullptr, 16) & kBoth) == kBoth;
    EXPECT_TRUE(i > 0 || blocked) << "the main thread takes signals";
    open += !blocked;
  }
  EXPECT_LE(open, 1) << outcome.text;
}

TEST_F(RunTest, ATrainingCanBeResumedFromItsVeryStart) {
  ASSERT_EQ(train("--run " + path("whole")).status, 0);
  const std::string run = path("run"), checkpoint = run + "/checkpoint/state.safetensors";
  put(path("script.sh"), std::string(KDEF_PROGRAM) + " " + train_command("--run " + run) +
                             " >/dev/null & first=$!\nwhile [ ! -e " + checkpoint +
                             " ]; do :; done; kill -9 $first; wait $first 2>/dev/null; true");
  ASSERT_EQ(shell("sh " + path("script.sh")).status, 0);
  EXPECT_EQ(train("--run " + run).status, 2);  // it holds a run
  const Outcome resumed = kdef("train --resume --run " + run);
  EXPECT_EQ(resumed.status, 0) << resumed.text;
  EXPECT_EQ(read_file(run + "/model.safetensors"), read_file(path("whole/model.safetensors")));
}

TEST_F(RunTest, WhatKilledWritersLeftIsRemoved) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  const std::vector<std::string> before = listing(path("run"));
  put(path("run/checkpoint/state.safetensors.part-a1B2c3"), "half");
  put(path("run/model.safetensors.part-a1B2c3"), "half");
  put(path("run/model.safetensors.backup"), "a user's own");
  ASSERT_EQ(train("--overwrite --run " + path("run")).status, 0);
  std::vector<std::string> after = listing(path("run"));
  EXPECT_EQ(std::erase(after, path("run/model.safetensors.backup")), 1u);
  EXPECT_EQ(after, before);
}

TEST_F(RunTest, OutputGoesWhereItIsSent) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  const auto predict = [&](const std::string& out) {
    return kdef("predict --run " + path("run") + " --data " + path("data/test.csv") + " --out " + out);
  };
  ASSERT_EQ(predict(path("plain")).status, 0);
  const std::string expected = read_file(path("plain"));
  // Through a link into the file that it leads to.
  put(path("target"), "old");
  std::filesystem::create_symlink("target", path("link"));
  EXPECT_EQ(predict(path("link")).status, 0);
  EXPECT_TRUE(std::filesystem::is_symlink(path("link")));
  EXPECT_EQ(read_file(path("target")), expected);
  // Into a pipe, and from one.
  const Outcome piped = shell("mkfifo " + path("pipe") + "; cat " + path("pipe") + " > " + path("caught") + " & " +
                              KDEF_PROGRAM + " predict --run " + path("run") + " --data /dev/stdin --out " +
                              path("pipe") + " < " + path("data/test.csv") + "; status=$?; wait; exit $status");
  EXPECT_EQ(piped.status, 0) << piped.text;
  EXPECT_TRUE(std::filesystem::is_fifo(path("pipe")));
  EXPECT_EQ(read_file(path("caught")), expected);
}

TEST_F(RunTest, EveryGradientIsAudited) {
  const Outcome outcome = kdef("audit --ops");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(lines(outcome.text).back(), HasSubstr("all agree"));
}

TEST_F(RunTest, InfoHasThePublishedParameterCounts) {
  const std::string fixtures = KDEF_SOURCE_DIR "/tests/fixtures/";
  int checked = 0;
  for (const std::string& row : lines(read_file(fixtures + "published_parameters.csv"))) {
    // run,model,feature_map,students,"[units]",cross_layers,dropout,embedding_dim,parameters
    const size_t open = row.find('"'), close = row.rfind('"');
    if (row.find("_001_") == std::string::npos || open == std::string::npos || row.find(",EKTF,") == std::string::npos)
      continue;
    std::vector<std::string> before, after;
    std::istringstream head(row.substr(0, open)), tail(row.substr(close + 2));
    for (std::string cell; std::getline(head, cell, ',');) before.push_back(cell);
    for (std::string cell; std::getline(tail, cell, ',');) after.push_back(cell);
    ASSERT_EQ(before.size(), 4u) << row;
    ASSERT_EQ(after.size(), 4u) << row;
    const Outcome outcome =
        kdef("info --config " + path("data") + " --expid KDEF --feature-map " + fixtures + "feature_maps/" + before[2] +
             ".json batch_norm=true num_student=" + before[3] +
             " 'hidden_units=" + row.substr(open + 1, close - open - 1) + "' embedding_dim=" + after[2]);
    ASSERT_EQ(outcome.status, 0) << outcome.text;
    EXPECT_EQ(lines(outcome.text).back(), "parameters " + after[3]) << row;
    ++checked;
  }
  EXPECT_GE(checked, 4);
}

// The first rows of the real Criteo file, with the authors' settings: vocabulary sizes against a count by awk.
TEST_F(RunTest, CriteoVocabulariesMatchAnIndependentCount) {
  const std::string source = KDEF_SOURCE_DIR "/../shared/data/criteo/criteo_10k.tsv";
  if (!std::filesystem::exists(source)) GTEST_SKIP() << source << " is not here";
  ASSERT_EQ(shell("head -8000 " + source + " > " + path("train.tsv") + "; tail -n +8001 " + source +
                  " | head -1000 > " + path("valid.tsv") + "; tail -n 1000 " + source + " > " + path("test.tsv"))
                .status,
            0);
  std::string numbers, words;
  for (int i = 1; i <= 13; ++i) numbers += (i > 1 ? ", I" : "I") + std::to_string(i);
  for (int i = 1; i <= 26; ++i) words += (i > 1 ? ", C" : "C") + std::to_string(i);
  put(path("data/dataset_config.yaml"),
      "criteo:\n  data_format: h5\n  data_root: " + path("cache") + "\n  columns: [Label, " + numbers + ", " + words +
          "]\n  feature_cols:\n  - {name: [" + numbers +
          "], active: true, dtype: float, fill_na: 0, na_value: 0, preprocess: convert_to_bucket, type: categorical}\n"
          "  - {name: [" +
          words +
          "], active: true, dtype: str, fill_na: '', na_value: '', type: categorical}\n"
          "  label_col: {dtype: float, name: Label}\n  min_categr_count: 10\n  train_data: " +
          path("train.tsv") + "\n  valid_data: " + path("valid.tsv") + "\n  test_data: " + path("test.tsv") + "\n");
  // Kept: at least 10 rows, and not the value that stands for a missing one; beside them padding and the rest.
  const std::string program = R"awk(
    BEGIN { FS = "\t" }
    {
      for (c = 2; c <= 40; ++c) {
        v = $c
        if (c <= 14) {
          if (v == "") v = 0
          if (v > 2) { l = log(v); v = int(l * l) } else v = int(v + 0)
        }
        ++seen[c, v]
      }
    }
    END {
      for (key in seen) {
        split(key, part, SUBSEP)
        missing = part[1] <= 14 ? "0" : ""
        if (seen[key] >= 10 && part[2] != missing) ++kept[part[1]]
      }
      for (c = 2; c <= 40; ++c) print (c <= 14 ? "I" (c - 1) : "C" (c - 14)) ": " kept[c] + 2 " ids"
    })awk";
  put(path("count.awk"), program);
  const Outcome counted = shell("LC_ALL=C awk -f " + path("count.awk") + " " + path("train.tsv"));
  ASSERT_EQ(counted.status, 0) << counted.text;
  const std::string experiment = "--config " + path("data") + " --expid KDEF dataset_id=criteo";
  const Outcome prepared = kdef("prepare " + experiment);
  ASSERT_EQ(prepared.status, 0) << prepared.text;
  std::vector<std::string> found;
  for (const std::string& line : lines(prepared.text)) {
    if (line.ends_with(" ids")) found.push_back(line.substr(2));
  }
  EXPECT_EQ(found.size(), 39u);
  EXPECT_EQ(found, lines(counted.text));

  const Outcome trained =
      kdef("train " + experiment + " batch_size=2000 epochs=1 embedding_dim=4 'hidden_units=[16, 8]'" + " --run " +
           path("run"));
  ASSERT_EQ(trained.status, 0) << trained.text;
  // Rows to predict have no header either, and may lack the label.
  ASSERT_EQ(shell("cut -f2- " + path("test.tsv") + " > " + path("rows.tsv")).status, 0);
  const std::string predict = "predict --run " + path("run") + " --out - --data ";
  const Outcome labelled = kdef(predict + path("test.tsv")), unlabelled = kdef(predict + path("rows.tsv"));
  EXPECT_EQ(labelled.status, 0) << labelled.text;
  EXPECT_EQ(lines(labelled.text).size(), 1000u);
  EXPECT_EQ(unlabelled.text, labelled.text);
}

// What a command prints on a terminal of 80 columns; empty where there is no program to make one.
std::string on_terminal(const std::string& environment, const std::string& command) {
  if (shell("command -v script").status != 0) return "";
  const std::string inside = "stty cols 80; " + environment + " " + std::string(KDEF_PROGRAM) + " " + command;
  put("/tmp/kdef_terminal_" + std::to_string(::getpid()) + ".sh", inside + "\n");
  const std::string file = "/tmp/kdef_terminal_" + std::to_string(::getpid()) + ".sh";
  const Outcome outcome = shell("TERM=xterm script -qec 'bash " + file + "' /dev/null");
  std::filesystem::remove(file);
  return outcome.text;
}

TEST_F(RunTest, ColourIsForTerminalsThatWantIt) {
  const Outcome plain = train("--run " + path("plain"));
  ASSERT_EQ(plain.status, 0) << plain.text;
  for (const char* command : {"\033", "\r"}) EXPECT_THAT(plain.text, testing::Not(testing::HasSubstr(command)));
  EXPECT_THAT(plain.text, testing::HasSubstr("  best\n"));
  for (const std::string& line : lines(plain.text)) {
    // Sentences of warnings, and paths, may be longer.
    const bool is_free = line.starts_with("warning: ") || line.find(folder_.string()) != std::string::npos;
    if (!is_free) {
      EXPECT_LE(line.size(), 80u) << line;
    }
  }
  const std::string coloured = on_terminal("", train_command("--run " + path("coloured")));
  if (coloured.empty()) GTEST_SKIP() << "no script(1) here";
  EXPECT_THAT(coloured, testing::HasSubstr("\033[32m  best\033[0m"));
  for (const char* environment : {"NO_COLOR=1", "TERM=dumb"}) {
    const std::string bare = on_terminal(environment, train_command("--overwrite --run " + path("bare")));
    EXPECT_THAT(bare, testing::HasSubstr("  best"));
    EXPECT_THAT(bare, testing::Not(testing::HasSubstr("\033[3"))) << environment;
  }
  EXPECT_THAT(on_terminal("NO_COLOR=", train_command("--overwrite --run " + path("bare"))),
              testing::HasSubstr("\033[32m"));
}

TEST_F(RunTest, FindRatePrintsATableAndWritesNothing) {
  const std::string before = "--find-rate model_root=" + path("models");
  const Outcome found = train(before);
  ASSERT_EQ(found.status, 0) << found.text;
  EXPECT_THAT(found.text, testing::HasSubstr("learning rate      loss\n      1.0e-06"));
  EXPECT_THAT(found.text, testing::ContainsRegex("\n  learning_rate=[0-9]e-0[0-9]"));
  for (const std::string& line : lines(found.text)) EXPECT_LE(line.size(), 80u) << line;
  EXPECT_FALSE(std::filesystem::exists(path("models")));
  ASSERT_EQ(train(before + " --json " + path("rates.json")).status, 0);
  EXPECT_THAT(read_file(path("rates.json")), testing::HasSubstr("{\"proposed\":"));
  EXPECT_FALSE(std::filesystem::exists(path("models")));
  EXPECT_EQ(train(before + " --resume").status, 2);
  EXPECT_EQ(train("--json " + path("x.json")).status, 2);
  EXPECT_EQ(train(before + " init=" + path("run")).status, 2);
}

}  // namespace
}  // namespace kdef::test
