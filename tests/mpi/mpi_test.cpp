// Trainings of several processes, as mpirun starts them. Without MPI they are skipped.
#include <csignal>
#include <nlohmann/json.hpp>
#include <regex>

#include "core/base/text.h"
#include "tests/mpi/support.h"

namespace kdef::test {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::Not;

TEST_F(Mpi, ProcessesTrainWhatOneTrains) {
  // Without batch norm: the true gradient of a bias before it is 0, and Adam makes whole steps of its rounding.
  const std::string more = "batch_norm=false --run ";
  ASSERT_EQ(train("num_student=2 --threads 1 " + more + path("alone")).status, 0);
  const std::vector<std::string> alone = lines(read_file(path("alone/metrics.jsonl")));
  ASSERT_EQ(alone.size(), 3u);
  for (int processes : {1, 2, 4}) {
    const std::string run_path = path("p" + std::to_string(processes));
    const Outcome outcome = run(processes, more + run_path);
    ASSERT_EQ(outcome.status, 0) << outcome.text;
    EXPECT_EQ(count(outcome.text, "Done in"), 1u) << outcome.text;
    const std::vector<std::string> together = lines(read_file(run_path + "/metrics.jsonl"));
    ASSERT_EQ(together.size(), alone.size());
    for (size_t i = 0; i < alone.size(); ++i) {
      const Json a = Json::parse(alone[i]), b = Json::parse(together[i]);
      EXPECT_EQ(a["step"], b["step"]);
      // The precision is fp32; sums are made in another order.
      EXPECT_NEAR(a["train_loss"].get<double>(), b["train_loss"].get<double>(), 1e-5) << processes;
      EXPECT_NEAR(a["valid"]["ensemble"]["logloss"].get<double>(), b["valid"]["ensemble"]["logloss"].get<double>(),
                  1e-5)
          << processes;
    }
    if (processes == 1) {
      EXPECT_EQ(read_file(run_path + "/model.safetensors"), read_file(path("alone/model.safetensors")));
    }
    // The same processes again: the same bits.
    ASSERT_EQ(run(processes, more + run_path + "-again").status, 0);
    EXPECT_EQ(read_file(run_path + "/model.safetensors"), read_file(run_path + "-again/model.safetensors"));
  }
}

// Processes that share the one device, which is emulated on the host (docs/gpu.md).
TEST_F(Mpi, ProcessesOnADeviceTrainWhatOneTrains) {
  const std::string small =
      "num_student=2 --threads 1 --device cuda batch_norm=false hidden_units=[8,4] embedding_dim=4 "
      "epochs=2 batch_size=500 baseline=none ";
  const std::vector<std::string> devices = {"alone", "together", "again"};
  for (const std::string& name : devices) {
    const Outcome outcome =
        shell(launched(name == "alone" ? 1 : 2, train_command(small + "--run " + path(name)), KDEF_EMULATED));
    ASSERT_EQ(outcome.status, 0) << outcome.text;
  }
  const std::vector<std::string> alone = lines(read_file(path("alone/metrics.jsonl"))),
                                 together = lines(read_file(path("together/metrics.jsonl")));
  ASSERT_EQ(alone.size(), 2u);
  ASSERT_EQ(together.size(), alone.size());
  for (size_t i = 0; i < alone.size(); ++i) {
    const Json a = Json::parse(alone[i]), b = Json::parse(together[i]);
    EXPECT_EQ(a["step"], b["step"]);
    EXPECT_NEAR(a["train_loss"].get<double>(), b["train_loss"].get<double>(), 1e-5);
    EXPECT_NEAR(a["valid"]["ensemble"]["auc"].get<double>(), b["valid"]["ensemble"]["auc"].get<double>(), 1e-4);
  }
  EXPECT_EQ(read_file(path("together/model.safetensors")), read_file(path("again/model.safetensors")));
  const std::string predict = "predict --device cuda --threads 1 --data " + path("data/test.csv") + " --run ";
  for (int processes : {1, 2}) {
    const std::string out = path("p" + std::to_string(processes));
    const Outcome outcome = shell(launched(processes, predict + path("together") + " --out " + out, KDEF_EMULATED));
    ASSERT_EQ(outcome.status, 0) << outcome.text;
  }
  EXPECT_EQ(read_file(path("p1")), read_file(path("p2")));
}

TEST_F(Mpi, AKilledProcessEndsAllAndResumeIsExact) {
  const std::string more = "checkpoint_every=1 epochs=30";
  ASSERT_EQ(run(2, more + " --run " + path("whole")).status, 0);
  start_and_kill(2, more);
  const Outcome resumed = run(2, more + " --resume --run " + path("killed"));
  ASSERT_EQ(resumed.status, 0) << resumed.text;
  EXPECT_EQ(read_file(path("killed/model.safetensors")), read_file(path("whole/model.safetensors")));
}

TEST_F(Mpi, ACacheHasTheBytesOfOneProcess) {
  cut_training_rows(7);
  ASSERT_EQ(kdef(prepare_command("alone")).status, 0);
  const auto wanted = cache_files("alone");
  ASSERT_EQ(wanted.size(), 6u);
  for (const int processes : {1, 2, 4}) {
    const std::string cache = "together" + std::to_string(processes);
    const Outcome outcome = shell(launched(processes, prepare_command(cache)));
    ASSERT_EQ(outcome.status, 0) << outcome.text;
    EXPECT_EQ(count(outcome.text, "Prepared "), 1u) << outcome.text;
    EXPECT_EQ(cache_files(cache), wanted) << processes;
    EXPECT_THAT(shell(launched(processes, prepare_command(cache))).text, HasSubstr("Up to date"));
  }
  // A training prepares by all of its processes, too.
  ASSERT_EQ(run(2, "epochs=1 data_root=" + path("trained") + " --run " + path("run")).status, 0);
  EXPECT_EQ(cache_files("trained"), wanted);
}

TEST_F(Mpi, ABadRowIsOneMessageWithItsPlace) {
  cut_training_rows(4);
  for (const char* part : {"data/train/part-2.csv", "data/train/part-3.csv"}) {
    std::string rows = read_file(path(part));
    rows[rows.find('\n', rows.find('\n') + 1) + 1] = '9';  // the label of the second row
    put(path(part), rows);
  }
  const Outcome alone = kdef(prepare_command("cache"));
  EXPECT_EQ(alone.status, 2);
  const std::string place = "part-2.csv:3: label column label: '9'";
  EXPECT_THAT(alone.text, HasSubstr(place));
  for (const int processes : {2, 4}) {
    const Outcome outcome = shell(launched(processes, prepare_command("cache")));
    EXPECT_EQ(outcome.status, 2) << outcome.text;
    EXPECT_EQ(count(outcome.text, place), 1u) << outcome.text;
    EXPECT_EQ(count(outcome.text, "label column"), 1u) << outcome.text;
    EXPECT_TRUE(cache_files("cache").empty());
  }
}

// SIGTERM, as a scheduler sends it, asks all to stop at the same step.
TEST_F(Mpi, AStopOfOneProcessSavesTheCheckpointOfAll) {
  const std::string more = "checkpoint_every=1000000 eval_steps=1 epochs=30";
  ASSERT_EQ(run(2, more + " --run " + path("whole")).status, 0);
  const Outcome stopped = start_and_kill(2, "checkpoint_every=1 eval_steps=1 epochs=30", SIGTERM);
  EXPECT_THAT(stopped.text, HasSubstr("Interrupted after step"));
  const Outcome resumed = run(2, "checkpoint_every=1 eval_steps=1 epochs=30 --resume --run " + path("killed"));
  ASSERT_EQ(resumed.status, 0) << resumed.text;
  EXPECT_EQ(read_file(path("killed/model.safetensors")), read_file(path("whole/model.safetensors")));
}

TEST_F(Mpi, ProcessesWithDifferentSettingsRefuseToStart) {
  const std::string training = train_command("num_student=2 --threads 1 --run " + path("run") + " seed=");
  const Outcome outcome = shell(launched(1, training + "1") + " : -n 1 " KDEF_PROGRAM " " + training + "2 epochs=7");
  EXPECT_NE(outcome.status, 0);
  EXPECT_THAT(outcome.text, HasSubstr("processes 0 and 1 were started with different settings: epochs, seed"));
  EXPECT_FALSE(std::filesystem::exists(path("run/config.yaml")));
}

// The build is told by a note in the program; here one of its bytes is another one.
TEST_F(Mpi, AnotherBuildIsRefused) {
  std::string program = read_file(KDEF_PROGRAM);
  const std::string note("\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0", 16);  // sizes, type and name of a note with a build id
  const size_t at = program.find(note);
  ASSERT_NE(at, std::string::npos);
  program[at + note.size()] ^= 1;
  std::filesystem::create_directories(path("other"));
  put(path("other/kdef"), program);
  std::filesystem::permissions(path("other/kdef"), std::filesystem::perms::owner_all);
  std::filesystem::copy_file(std::filesystem::path(KDEF_PROGRAM).parent_path() / "libkdef_mpi.so",
                             path("other/libkdef_mpi.so"));
  const std::string training = train_command("num_student=2 --threads 1 --run " + path("run"));
  const Outcome outcome = shell(launched(2, training) + " : -n 1 " + path("other/kdef") + " " + training);
  EXPECT_EQ(outcome.status, 2) << outcome.text;
  EXPECT_EQ(
      count(outcome.text, "processes 0 and 2 are different builds of kdef, or run on different processors: build;"), 1u)
      << outcome.text;
  EXPECT_FALSE(std::filesystem::exists(path("run")));
  EXPECT_FALSE(std::filesystem::exists(path("cache")));
}

// The cache of one process is another one: as on two machines that have a folder of one name each.
TEST_F(Mpi, OtherDataOnOneProcessIsRefused) {
  std::filesystem::create_directories(path("here"));
  std::filesystem::create_directories(path("there"));
  const std::string settings = "--config " + path("data") + " --expid KDEF data_root=cache";
  const std::string arguments = " " KDEF_PROGRAM " train " + settings + " --threads 1 epochs=1 --run " + path("run");
  const std::string job =
      kLauncher + ("1 --wdir " + path("here")) + arguments + " : -n 1 --wdir " + path("there") + arguments;
  const std::string file = path("data/test.csv"), rows = read_file(file);
  put(file, rows.substr(0, rows.rfind('\n', rows.size() - 2) + 1));  // without the last row
  ASSERT_EQ(shell("cd " + path("there") + " && " KDEF_PROGRAM " prepare " + settings).status, 0);
  put(file, rows);
  const auto expect_refused = [&](const std::string& what) {
    const Outcome outcome = shell(job);
    EXPECT_EQ(outcome.status, 2) << outcome.text;
    EXPECT_EQ(count(outcome.text, "processes 0 and 1 have different data in cache/synthetic: " + what + ";"), 1u)
        << outcome.text;
    EXPECT_FALSE(std::filesystem::exists(path("run")));
  };
  expect_refused("test rows");
  rename_cities("c");  // the ids stay
  ASSERT_EQ(shell("cd " + path("there") + " && " KDEF_PROGRAM " prepare " + settings).status, 0);
  rename_cities("");
  expect_refused("vocabularies");
}

// With batch normalisation, whose moments speak of all rows of a batch.
TEST_F(Mpi, ShardsHaveTheSameBitsForEveryNumberOfProcesses) {
  const std::string more = "batch_norm=true shards=8 checkpoint_every=1 epochs=10";
  ASSERT_EQ(train("num_student=2 --threads 1 " + more + " --run " + path("alone")).status, 0);
  const auto expect_equal = [&](const std::string& name) {
    for (const char* file : {"model.safetensors", "result.json"})
      EXPECT_EQ(read_file(path(name + "/" + file)), read_file(path(std::string("alone/") + file)))
          << name << " " << file;
  };
  for (const int processes : {2, 4, 8}) {
    const std::string name = "p" + std::to_string(processes);
    const Outcome outcome = run(processes, more + " --run " + path(name));
    ASSERT_EQ(outcome.status, 0) << outcome.text;
    expect_equal(name);
  }
  // It is stopped on four processes and goes on on two.
  start_and_kill(4, more);
  const Outcome resumed = run(2, more + " --resume --run " + path("killed"));
  ASSERT_EQ(resumed.status, 0) << resumed.text;
  expect_equal("killed");
}

// Each process holds a part of the tables. They are those of whole tables, also after a kill and on other processes.
TEST_F(Mpi, DividedTablesLeaveTheBytesOfWholeOnes) {
  const std::string more = "shards=4 checkpoint_every=1 epochs=5";
  ASSERT_EQ(train("num_student=2 --threads 1 " + more + " --run " + path("whole")).status, 0);
  const auto expect_equal = [&](const std::string& name) {
    for (const char* file : {"model.safetensors", "result.json", "collapse.json"})
      EXPECT_EQ(read_file(path(name + "/" + file)), read_file(path(std::string("whole/") + file)))
          << name << " " << file;
  };
  for (const int processes : {1, 2, 4}) {
    const std::string name = "p" + std::to_string(processes);
    const Outcome outcome = run(processes, more + " divide_tables=true --run " + path(name));
    ASSERT_EQ(outcome.status, 0) << outcome.text;
    EXPECT_EQ(count(outcome.text, "divided tables: process 0 of"), 1u) << outcome.text;
    expect_equal(name);
  }
  start_and_kill(4, more + " divide_tables=true");
  const Outcome resumed = run(2, more + " divide_tables=true --resume --run " + path("killed"));
  ASSERT_EQ(resumed.status, 0) << resumed.text;
  expect_equal("killed");
}

// Weights and groups of rows, a table that two columns share, missing numbers; and what the list below says.
TEST_F(Mpi, DividedTablesDoWhatWholeOnesDo) {
  uint32_t state = 1;
  const auto draw = [&](uint32_t below) { return (state = state * 1664525 + 1013904223) / 65536 % below; };
  const auto rows = [&](int count, const std::string& user) {
    std::string text = "click,w,grp,user,friend,tags,age\n";
    for (int i = 0; i < count; ++i) {
      text += cat(draw(2), ",", draw(3), ",", i / 7 % 20, ",", user, draw(200), ",", user, draw(200), ",", draw(30),
                  "^", draw(30), ",", draw(5) == 0 ? "NaN" : std::to_string(draw(50)), "\n");
    }
    return text;
  };
  std::filesystem::create_directories(path("rows"));
  put(path("rows/valid.csv"), rows(300, "u"));
  put(path("rows/test.csv"), rows(200, "u"));
  const auto put_config = [&](const std::string& name, const std::string& user) {
    put(path("rows/" + name + ".csv"), rows(1000, user));
    put(path(name + "/dataset_config.yaml"),
        name + ":\n    data_root: " + path("cache") + "\n    train_data: " + path("rows/" + name + ".csv") +
            "\n    valid_data: " + path("rows/valid.csv") + "\n    test_data: " + path("rows/test.csv") +
            R"(
    weight_col: w
    group_id: grp
    feature_cols:
        - {name: user, active: true, dtype: str, type: categorical, fill_na: ''}
        - {name: friend, active: true, dtype: str, type: categorical, fill_na: '', share_embedding: user}
        - {name: tags, active: true, dtype: str, type: sequence, splitter: '^', max_len: 2}
        - {name: age, active: true, dtype: float, type: numeric, fill_na: 0, normalizer: StandardScaler}
        - {name: grp, active: true, dtype: str, type: meta}
    label_col: {name: click, dtype: float}
)");
    put(path(name + "/model_config.yaml"), "Base: {}\nKDEF:\n    model: EKTF\n    dataset_id: " + name + R"(
    num_student: 2
    learning_rate: 0.01
    embedding_regularizer: 0.01
    batch_size: 256
    embedding_dim: 8
    hidden_units: [16, 8]
    epochs: 2
    shards: 2
    metrics: [AUC, logloss, gAUC]
)");
  };
  std::filesystem::create_directories(path("old"));
  std::filesystem::create_directories(path("new"));
  put_config("old", "u");
  put_config("new", "v");  // words that a training on `old` does not know
  const auto training = [&](const std::string& config, const std::string& run, const std::string& more) {
    return "train --config " + path(config) + " --expid KDEF --threads 1 --run " + path(run) + " " + more;
  };
  struct Case {
    const char *name, *config;
    std::string more;
  };
  const std::vector<Case> cases = {{"plain", "old", ""},
                                   {"own", "old", "shared_embedding=false"},
                                   {"clipped", "old", "max_gradient_norm=0.01"},
                                   {"init", "old", "--init " + path("plain-divided")},
                                   {"grown", "new", "--grow-vocabulary --init " + path("plain-divided")}};
  for (const Case& c : cases) {
    const std::string whole = cat(c.name, "-whole"), divided = cat(c.name, "-divided");
    const Outcome one = kdef(training(c.config, whole, c.more));
    ASSERT_EQ(one.status, 0) << one.text;
    const Outcome two = shell(launched(2, training(c.config, divided, c.more + " divide_tables=true")));
    ASSERT_EQ(two.status, 0) << two.text;
    for (const char* file : {"/model.safetensors", "/result.json", "/collapse.json"})
      EXPECT_TRUE(read_file(path(divided + file)) == read_file(path(whole + file))) << c.name << file;
  }
  const auto measured = [&](const std::string& run) {
    const std::string data = " --data " + path("rows/test.csv");
    EXPECT_EQ(kdef("predict --run " + path(run) + data + " --out " + path(run + ".txt")).status, 0);
    return kdef("evaluate --run " + path(run) + data).text + read_file(path(run + ".txt"));
  };
  EXPECT_EQ(measured("plain-divided"), measured("plain-whole"));
}

// The first process cannot read the tables, of which collapse is measured at the end: the job fails, and --resume ends
// it.
TEST_F(Mpi, AFailureOfTheSystemWhileCollapseIsMeasuredIsNotLost) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "its runtime must be the first library";
#endif
  const std::string run = path("run"), counts = path("counts");
  const std::string training =
      train_command("num_student=2 --threads 1 epochs=1 divide_tables=true --overwrite --run " + run);
  const auto job = [&](const std::string& environment) {
    return kLauncher +
           ("1 env LD_PRELOAD=" KDEF_INJECT " KDEF_FAULT_FOLDER=" + run + " " + environment + " " KDEF_PROGRAM " ") +
           training + " : -n 1 " KDEF_PROGRAM " " + training;
  };
  ASSERT_EQ(shell(job("KDEF_FAULT_COUNT_FILE=" + counts)).status, 0);
  const std::string result = read_file(run + "/result.json"), collapse = read_file(run + "/collapse.json");
  const std::string text = read_file(counts);
  const size_t at = text.find("mmap ");
  ASSERT_NE(at, std::string::npos) << text;
  const std::string last = text.substr(at + 5, text.find('\n', at) - at - 5);  // of the model file, for its tables
  const Outcome outcome = shell(job("KDEF_FAULT_CALL=mmap KDEF_FAULT_ERROR=EIO KDEF_FAULT_AT=" + last));
  EXPECT_EQ(outcome.status, 3) << outcome.text;
  EXPECT_EQ(count(outcome.text, "model.safetensors: "), 1u) << outcome.text;
  EXPECT_FALSE(std::filesystem::exists(run + "/result.json"));
  const Outcome resumed = shell(launched(2, "train --run " + run + " --resume --threads 1"));
  EXPECT_EQ(resumed.status, 0) << resumed.text;
  EXPECT_EQ(read_file(run + "/result.json"), result);
  EXPECT_EQ(read_file(run + "/collapse.json"), collapse);
}

// The table of 60,000 users, its moments and the memory of a process beside them do not fit into the limit on one
// process. Of four processes each has a quarter of the table.
TEST_F(Mpi, ATableThatDoesNotFitOneProcessTrainsOnFour) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer needs more memory than the limit";
#endif
  std::filesystem::create_directories(path("big"));
  std::string rows = "click,user,item\n", valid = rows;
  for (int i = 0; i < 60000; ++i)
    rows += std::to_string(i % 3 == 0) + ",u" + std::to_string(i) + ",i" + std::to_string(i * 7 % 50) + "\n";
  for (int i = 0; i < 500; ++i)
    valid += std::to_string(i % 3 == 0) + ",u" + std::to_string(i * 101) + ",i" + std::to_string(i % 50) + "\n";
  put(path("big/train.csv"), rows);
  put(path("big/valid.csv"), valid);
  put(path("big/dataset_config.yaml"), "big:\n    data_format: csv\n    data_root: " + path("cache") +
                                           "\n    train_data: " + path("big/train.csv") +
                                           "\n    valid_data: " + path("big/valid.csv") + R"(
    feature_cols:
        - {name: [user, item], active: true, dtype: str, type: categorical, fill_na: ''}
    label_col: {name: click, dtype: float}
)");
  put(path("big/model_config.yaml"), R"(Base: {}
KDEF:
    model: EKTF
    dataset_id: big
    num_student: 2
    learning_rate: 0.001
    embedding_regularizer: 0.01
    batch_size: 2000
    embedding_dim: 256
    hidden_units: [16]
    epochs: 1
    baseline: none
    metrics: [AUC]
)");
  const std::string train = "train --config " + path("big") + " --expid KDEF --threads 1 shards=4 --run ";
  const std::string limit = "ulimit -d 184320; ";  // KiB of data: 180 MiB; table and moments take 176 MiB
  ASSERT_EQ(kdef(train + path("free")).status, 0);
  const Outcome alone = shell(limit + KDEF_PROGRAM " " + train + path("alone"));
  EXPECT_EQ(alone.status, 3) << alone.text;
  EXPECT_THAT(alone.text, HasSubstr("out of memory"));
  const Outcome whole = shell(limit + launched(4, train + path("whole")));
  EXPECT_EQ(whole.status, 3) << "four processes that hold all rows each: " << whole.text;
  const Outcome divided = shell(limit + launched(4, train + path("divided") + " divide_tables=true"));
  ASSERT_EQ(divided.status, 0) << divided.text;
  EXPECT_EQ(read_file(path("divided/model.safetensors")), read_file(path("free/model.safetensors")));
  const Outcome resumed = shell(limit + launched(4, "train --resume --run " + path("divided")));
  EXPECT_EQ(resumed.status, 0) << "a finished training reads its checkpoint: " << resumed.text;
}

TEST_F(Mpi, PredictionsAndEvaluationsAreThoseOfOneProcess) {
  // 300 test rows in batches of 64.
  ASSERT_EQ(train("num_student=2 batch_size=64 epochs=1 --run " + path("run")).status, 0);
  const std::string predict = "predict --run " + path("run") + " --data " + path("data/test.csv") +
                              " --students --header --keep city --out ",
                    evaluate = "evaluate --run " + path("run") + " --data " + path("data/test.csv");
  ASSERT_EQ(kdef(predict + path("alone.csv")).status, 0);
  const std::string wanted = read_file(path("alone.csv")), measured = kdef(evaluate).text;
  EXPECT_EQ(lines(wanted).size(), 301u);
  for (const int processes : {2, 3, 8}) {
    const Outcome predicted = shell(launched(processes, predict + path("together.csv")));
    ASSERT_EQ(predicted.status, 0) << predicted.text;
    EXPECT_EQ(count(predicted.text, "Wrote 300 predictions"), 1u) << predicted.text;
    EXPECT_EQ(read_file(path("together.csv")), wanted) << processes;
    EXPECT_EQ(shell(launched(processes, evaluate)).text, measured) << processes;
  }
}

// The gradients of the weights are sent 2 (P - 1)/P times, by each of two processes once, in one call: those of two
// students of 28-400-400-400-1 with batch normalization (7 fields of 4 numbers), each tensor in a multiple of 32
// numbers.
TEST_F(Mpi, AStepIsTimedWithWhatItSends) {
  const Outcome outcome =
      shell(launched(2, "bench step --shape ml-1m --students 2 --batch 64 --dim 4 --seconds 1 --threads 1"));
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  for (const char* text : {"sent by the first process", "sums of fp64", "sums of fp32", "gather", "\"processes\":2",
                           "\"sent_bytes\":", "\"communication_ms\":", "\"batch\":64"}) {
    EXPECT_THAT(outcome.text, HasSubstr(text));
  }
  std::smatch found;
  ASSERT_TRUE(std::regex_search(outcome.text, found, std::regex("sums of fp32 +([0-9.]+) +([0-9,]+)"))) << outcome.text;
  EXPECT_EQ(found[1], "1.0");
  const int64_t weights = 28 * 400 + 2 * 400 * 400 + 3 * 3 * 400 + 400 + 1, tensors = 3 * 4 + 2;
  std::string bytes = found[2];
  std::erase(bytes, ',');
  EXPECT_GE(std::stoll(bytes), 2 * 4 * weights);
  EXPECT_LE(std::stoll(bytes), 2 * 4 * (weights + 31 * tensors));
  EXPECT_THAT(shell(launched(2, "bench predict --seconds 1")).text,
              HasSubstr("kdef bench predict works in one process"));
}

TEST_F(Mpi, WhatOneProcessDoesIsRefusedToMany) {
  const Outcome info = shell(launched(2, "info --config " + path("data") + " --expid KDEF"));
  EXPECT_EQ(info.status, 2) << info.text;
  EXPECT_THAT(info.text, HasSubstr("works in one process"));
  ASSERT_EQ(train("num_student=2 epochs=1 --run " + path("run")).status, 0);
  const Outcome pipe = shell("cat " + path("data/test.csv") + " | " +
                             launched(2, "predict --run " + path("run") + " --data - --out " + path("scores.txt")));
  EXPECT_EQ(pipe.status, 2) << pipe.text;
  EXPECT_THAT(pipe.text, HasSubstr("standard input"));
}

// The commands of docs/many-machines.md, as they stand there.
TEST_F(Mpi, TheCommandsOfThePage) {
  std::string script = "set -e\ncd " + path("") +
                       "\nkdef() { " KDEF_PROGRAM " \"$@\"; }\nmpirun() { local n=$2; shift 3; " +
                       std::string(kLauncher) + "$n " KDEF_PROGRAM " \"$@\"; }\n";
  bool open = false, inside = false, wanted = false;  // inside: of a block that is no `text`
  int commands = 0;
  for (const std::string& line : lines(read_file(KDEF_SOURCE_DIR "/docs/many-machines.md"))) {
    if (line.starts_with("```")) {
      open = !open;
      inside = open && line == "```";
      wanted = false;
    } else if (inside && (wanted || line.starts_with("kdef ") || line.starts_with("mpirun "))) {
      wanted = true;  // a block that begins with the program or its launcher
      script += line + "\n";
      ++commands;
    }
  }
  EXPECT_EQ(commands, 10);
  put(path("page.sh"), script);
  const Outcome outcome = shell("bash " + path("page.sh"));
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  const std::string one = read_file(path("many/one/model.safetensors")), alone = read_file(path("many/alone.txt"));
  EXPECT_GT(one.size(), 1000u);
  EXPECT_EQ(read_file(path("many/four/model.safetensors")), one);
  EXPECT_EQ(read_file(path("many/divided/model.safetensors")), one);
  EXPECT_TRUE(std::filesystem::exists(path("many/two/result.json")));
  EXPECT_EQ(lines(alone).size(), 2000u);
  EXPECT_EQ(read_file(path("many/together.txt")), alone);
}

TEST_F(Mpi, AFailureIsOneMessageAndOneStatus) {
  const Outcome outcome = run(3, "epochs=0 --run " + path("run"));
  EXPECT_EQ(outcome.status, 2) << outcome.text;
  EXPECT_EQ(count(outcome.text, "key 'epochs'"), 1u) << outcome.text;
}

// All processes see it.
TEST_F(Mpi, ALossThatIsNotFiniteIsOneMessage) {
  for (const char* tables : {"false", "true"}) {
    const Outcome outcome =
        run(3, std::string("learning_rate=1e30 divide_tables=") + tables + " --run " + path(tables));
    EXPECT_EQ(outcome.status, 1) << outcome.text;
    EXPECT_EQ(count(outcome.text, "the loss is "), 1u) << outcome.text;
    EXPECT_EQ(count(outcome.text, "kdef: process"), 0u) << outcome.text;
  }
}

TEST_F(RunTest, WithoutItsLibraryOneOfManyProcessesRefusesToTrain) {
  const std::string lonely = path("kdef");
  std::filesystem::copy_file(KDEF_PROGRAM, lonely);
  const Outcome outcome = shell("OMPI_COMM_WORLD_SIZE=2 " + lonely + " " + train_command("--run " + path("run")));
  EXPECT_EQ(outcome.status, 2) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("one of 2 processes"));
  EXPECT_THAT(outcome.text, HasSubstr("KDEF_MPI"));
  EXPECT_FALSE(std::filesystem::exists(path("run")));
}

}  // namespace
}  // namespace kdef::test
