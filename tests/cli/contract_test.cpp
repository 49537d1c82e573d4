// What the program promises: files, formats, order of rows, resume, exit statuses.
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/cli/support.h"

namespace kdef::test {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

TEST_F(RunTest, TrainLeavesTheFilesOfTheContract) {
  const Outcome outcome = train("--run " + path("run"));
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  for (const char* file : {"config.yaml", "metrics.jsonl", "model.safetensors", "checkpoint/state.safetensors",
                           "vocabulary.kdefvoc", "result.json", "data.json", "baseline.json"}) {
    EXPECT_TRUE(std::filesystem::exists(path("run") + "/" + file)) << file;
  }
  const Json result = Json::parse(read_file(path("run/result.json")));
  EXPECT_EQ(result["test"]["students"].size(), 3u);
  for (const std::string& line : lines(read_file(path("run/metrics.jsonl")))) {
    EXPECT_TRUE(Json::parse(line)["valid"]["ensemble"].contains("logloss"));
  }
  // A second run does not overwrite the first.
  const std::string model = read_file(path("run/model.safetensors"));
  const Outcome again = train("--run " + path("run") + " seed=1");
  EXPECT_EQ(again.status, 2);
  EXPECT_THAT(again.text, HasSubstr("--resume"));
  EXPECT_EQ(read_file(path("run/model.safetensors")), model);

  // evaluate agrees with result.json; its last line is JSON.
  const Outcome evaluation = kdef("evaluate --run " + path("run"));
  ASSERT_EQ(evaluation.status, 0) << evaluation.text;
  const Json ensemble = Json::parse(lines(evaluation.text).back())["ensemble"];
  EXPECT_DOUBLE_EQ(ensemble["auc"], result["test"]["ensemble"]["auc"].get<double>());
  EXPECT_EQ(kdef("evaluate --run " + path("run") + " --data " + path("data/valid.csv")).status, 0);

  // collapse reads the same run.
  const Outcome collapse = kdef("collapse --run " + path("run") + " --rows 200 --json " + path("collapse.json"));
  EXPECT_EQ(collapse.status, 0) << collapse.text;
  EXPECT_EQ(Json::parse(read_file(path("collapse.json")))["layers"].size(), 6u);
}

TEST_F(RunTest, TrainingTellsItsDataAndWhatThereIsToBeat) {
  const auto text = [&](const std::string& more) {
    const Outcome outcome = train("--overwrite --run " + path("run") + " " + more);
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    for (const std::string& line : lines(outcome.text)) {
      const bool is_long = line.find(path("")) != std::string::npos || line.starts_with("warning: ");
      if (!is_long) {
        EXPECT_LE(line.size(), 80u) << line;
      }
    }
    return outcome.text;
  };
  const Json data = [&] { return text(""), Json::parse(read_file(path("run/data.json"))); }();
  EXPECT_EQ(data["train"]["rows"], 2400);
  EXPECT_EQ(data["valid"]["rows"], 300);
  const std::string bad = text("learning_rate=1e-12 reduce_lr_on_plateau=false early_stop_patience=5 epochs=8");
  EXPECT_THAT(bad, HasSubstr("2,400 training rows, "));
  EXPECT_THAT(bad, HasSubstr(" % clicks, 5 steps an epoch\n300 validation rows, 300 test rows\n"));
  EXPECT_THAT(bad, testing::ContainsRegex("  no better 1/5\n"));
  EXPECT_THAT(bad, testing::ContainsRegex("\ntest rows +AUC +logloss +NE\nconstant click rate +0\\.5000"));
  EXPECT_THAT(bad, HasSubstr("\nThe logistic regression is better in AUC, log loss"));
  const std::string alone = text("baseline=none");
  EXPECT_THAT(alone, testing::Not(HasSubstr("constant click rate")));
  EXPECT_FALSE(std::filesystem::exists(path("run/baseline.json")));
}

TEST_F(RunTest, PredictKeepsTheOrderAndNeedsNoLabel) {
  ASSERT_EQ(train("--run " + path("run")).status, 0);
  const std::vector<std::string> rows = lines(read_file(path("data/test.csv")));
  const auto predict = [&](const std::string& data, const std::string& more) {
    const Outcome outcome = kdef("predict --run " + path("run") + " --data " + data + " --out " + path("p.txt") + more);
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    return lines(read_file(path("p.txt")));
  };
  const std::vector<std::string> forward = predict(path("data/test.csv"), "");
  ASSERT_EQ(forward.size(), rows.size() - 1);

  // Rows in reverse, and without the label column (the first).
  std::string reversed, unlabelled;
  for (size_t i = 0; i < rows.size(); ++i) {
    reversed += (i == 0 ? rows[0] : rows[rows.size() - i]) + "\n";
    unlabelled += rows[i].substr(rows[i].find(',') + 1) + "\n";
  }
  put(path("reversed.csv"), reversed);
  put(path("unlabelled.csv"), unlabelled);
  std::vector<std::string> backward = predict(path("reversed.csv"), "");
  std::reverse(backward.begin(), backward.end());
  EXPECT_EQ(backward, forward);
  EXPECT_EQ(predict(path("unlabelled.csv"), ""), forward);

  const std::vector<std::string> students = predict(path("data/test.csv"), " --students --header");
  ASSERT_EQ(students.size(), forward.size() + 1);
  EXPECT_EQ(students[0], "probability,student1,student2,student3");
  EXPECT_EQ(students[1].substr(0, students[1].find(',')), forward[0]);
  EXPECT_EQ(lines(kdef("predict --run " + path("run") + " --data " + path("data/test.csv") + " --out -").text),
            forward);
  EXPECT_EQ(kdef("evaluate --run " + path("run") + " --data " + path("unlabelled.csv")).status, 2);
}

TEST_F(RunTest, ThreadsDoNotChangeTheBits) {
  ASSERT_EQ(train("--threads 1 --run " + path("one")).status, 0);
  ASSERT_EQ(train("--threads 3 --run " + path("three")).status, 0);
  EXPECT_EQ(read_file(path("one/model.safetensors")), read_file(path("three/model.safetensors")));
}

// Starts the program, and sends `signal` as soon as it has written `file` and a little time has passed.
int run_and_signal(const std::string& arguments, const std::string& file, int signal, int wait_ms) {
  const auto written = [&] {
    std::error_code none;
    return std::filesystem::last_write_time(file, none);
  };
  const auto before = written();
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/bin/sh", "sh", "-c", ("exec " KDEF_PROGRAM " " + arguments + " >/dev/null 2>&1").c_str(), nullptr);
    ::_exit(127);
  }
  for (int i = 0; i < 6000 && written() == before; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
  ::kill(child, signal);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST_F(RunTest, KilledTrainingResumesToTheSameBytes) {
  const std::string more = "epochs=12 checkpoint_every=1 --run ";
  ASSERT_EQ(train(more + path("whole")).status, 0);
  for (int wait_ms : {0, 40, 150}) {
    const std::string run = path("killed" + std::to_string(wait_ms));
    const int status =
        run_and_signal(train_command(more + run), run + "/checkpoint/state.safetensors", SIGKILL, wait_ms);
    EXPECT_TRUE(status == -SIGKILL || status == 0) << status;
    const Outcome resumed = kdef("train --run " + run + " --resume");
    ASSERT_EQ(resumed.status, 0) << resumed.text;
    EXPECT_EQ(read_file(run + "/model.safetensors"), read_file(path("whole/model.safetensors")));
    EXPECT_EQ(read_file(run + "/result.json"), read_file(path("whole/result.json")));
  }
}

TEST_F(RunTest, ControlCSavesACheckpointAndSaysSo) {
  const std::string more = "epochs=1000000 early_stop_patience=1000000 checkpoint_every=1 --run " + path("run");
  EXPECT_EQ(run_and_signal(train_command(more), path("run/checkpoint/state.safetensors"), SIGINT, 30), 130);
  EXPECT_FALSE(std::filesystem::exists(path("run/result.json")));
  EXPECT_EQ(run_and_signal("train --resume --run " + path("run"), path("run/checkpoint/state.safetensors"), SIGINT, 30),
            130);
}

TEST_F(RunTest, ControlCStopsThePreparationToo) {
  ASSERT_EQ(kdef("synth --rows 60000 --overwrite --out " + path("data")).status, 0);
  EXPECT_EQ(run_and_signal(train_command("--threads 1 --run " + path("run")), path("cache/synthetic/.lock"), SIGINT, 0),
            130);
  EXPECT_FALSE(std::filesystem::exists(path("run")));
  EXPECT_FALSE(std::filesystem::exists(path("cache/synthetic/prepared.json")));
}

TEST_F(RunTest, InfoCountsParametersFromAFeatureMapAlone) {
  const std::string maps = KDEF_SOURCE_DIR "/tests/fixtures/feature_maps/";
  const Outcome outcome =
      kdef("info --config " + path("data") + " --expid KDEF --feature-map " + maps +
           "ML_1M_7_x1.json 'hidden_units=[400, 400, 400]' embedding_dim=16 num_student=3 batch_norm=true");
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_EQ(lines(outcome.text).back(), "parameters 1262419");  // the published run EKTF_ML_1M_004
}

TEST_F(RunTest, AuditReplaysAndDraws) {
  const std::string fixtures = KDEF_SOURCE_DIR "/tests/fixtures/";
  const Outcome good = kdef("audit --fixture " + fixtures + "kdef_loss_M3.safetensors " + fixtures +
                            "kdef_mlp_M5_nobn_f64.safetensors --dot " + path("tape.dot"));
  EXPECT_EQ(good.status, 0) << good.text;
  EXPECT_EQ(read_file(path("tape.dot")).substr(0, 12), "digraph tape");
  // A changed number is a failed check (1), a cut file is bad input (2).
  std::string bytes = read_file(fixtures + "kdef_loss_M3.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 0x10);
  put(path("changed.safetensors"), bytes);
  EXPECT_EQ(kdef("audit --fixture " + path("changed.safetensors")).status, 1);
  put(path("cut.safetensors"), bytes.substr(0, bytes.size() / 2));
  EXPECT_EQ(kdef("audit --fixture " + path("cut.safetensors")).status, 2);
}

TEST_F(RunTest, BenchEndsWithItsJson) {
  const Outcome outcome = kdef("bench step --shape ml-1m --students 1 --batch 64 --seconds 1 --threads 1");
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  const Json json = Json::parse(lines(outcome.text).back());
  for (const char* key : {"rows_per_s", "step_ms", "gemm_ms", "ratio", "peak_mib"})
    EXPECT_GT(json[key].get<double>(), 0) << key;
}

TEST_F(RunTest, BenchTakesAVocabularyAndAnOptimizer) {
  const Outcome outcome = kdef(
      "bench step --vocabulary 20000 --dim 4 --optimizer lazy_adam --students 1 --batch 64 --seconds 1 --threads 1");
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  const Json json = Json::parse(lines(outcome.text).back());
  EXPECT_EQ(json["optimizer"], "lazy_adam");
  EXPECT_GT(json["optimizer_ms"].get<double>(), 0);
  EXPECT_EQ(kdef("bench step --vocabulary 100").status, 2);
}

TEST_F(RunTest, BenchTimesAnyNetworkAndAnyExperiment) {
  const std::string quick = " --batch 64 --seconds 1 --threads 1";
  const auto step = [&](const std::string& options) {
    const Outcome outcome = kdef("bench step " + options + quick);
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    const Json json = Json::parse(lines(outcome.text).back());
    EXPECT_GT(json["step_ms"].get<double>(), 0);
    EXPECT_GT(json["cpu_ms"].get<double>(), 0);
    return outcome.text;
  };
  const std::string ml = "--shape ml-1m --dim 4 ";
  EXPECT_THAT(step(ml + "--students 1 --network FLEN dnn_hidden_units=[8]"), HasSubstr("1 student of network FLEN"));
  EXPECT_THAT(step(ml + "--students 2 --network xDeepFM cin_hidden_units=[4]"),
              HasSubstr("2 students of network xDeepFM"));
  EXPECT_THAT(step("--config " + path("data") + " --expid KDEF data_root=" + path("cache") + " num_student=2"),
              HasSubstr("2 students of network mlp"));
  EXPECT_THAT(kdef("bench step --network FLEM" + quick).text, HasSubstr("did you mean 'FLEN'?"));
  EXPECT_THAT(kdef("bench step hidden_units=[4]" + quick).text, HasSubstr("give --network NAME"));
  EXPECT_THAT(kdef("bench step --students 2 --config " + path("data") + " --expid KDEF" + quick).text,
              HasSubstr("--students: the experiment of --config says that"));
}

TEST_F(RunTest, NetworksAreListedAndDescribed) {
  EXPECT_THAT(kdef("networks").text, HasSubstr("DeepFM "));
  const Outcome one = kdef("networks DCN DNN");
  EXPECT_EQ(one.status, 0) << one.text;
  EXPECT_THAT(one.text, HasSubstr("| `num_cross_layers` | integer in [1, 1000] | `3` |"));
  EXPECT_THAT(one.text, HasSubstr("### DNN"));
  EXPECT_EQ(kdef("networks DCM").status, 2);
}

TEST_F(RunTest, WeightsGoOutAndComeBack) {
  const std::string same = " --config " + path("data") + " --expid KDEF data_root=" + path("cache") +
                           " model=DCN num_student=1 'dnn_hidden_units=[8]' epochs=1 early_stop_patience=9",
                    rows = " --data " + path("data/test.csv") + " --out -";
  ASSERT_EQ(kdef("train" + same + " --run " + path("run")).status, 0);
  const Outcome exported = kdef("export --run " + path("run") + " --student best --out " + path("weights.safetensors"));
  ASSERT_EQ(exported.status, 0) << exported.text;
  const Outcome imported =
      kdef("import" + same + " --weights " + path("weights.safetensors") + " --out " + path("again"));
  ASSERT_EQ(imported.status, 0) << imported.text;
  EXPECT_EQ(kdef("predict --run " + path("again") + rows).text, kdef("predict --run " + path("run") + rows).text);
  EXPECT_EQ(kdef("report " + path("again") + " --out " + path("page.html")).status, 0);
  EXPECT_THAT(read_file(path("page.html")), HasSubstr("Imported: the weights of " + path("weights.safetensors")));

  EXPECT_THAT(kdef("export --run " + path("run") + " --student 1 --out " + path("weights.safetensors")).text,
              HasSubstr("is already there"));
  EXPECT_THAT(kdef("export --run " + path("run") + " --student 1 --vocabulary x.json --out " + path("more")).text,
              HasSubstr("--vocabulary: is for --out FILE.safetensors"));
  ASSERT_EQ(train("--run " + path("mlp")).status, 0);
  EXPECT_THAT(kdef("export --run " + path("mlp") + " --student 1 --out " + path("mlp.safetensors")).text,
              HasSubstr("mlp is no class of FuxiCTR"));
}

TEST_F(RunTest, AModelGoesOutAsOnnx) {
  ASSERT_EQ(train("--run " + path("run") + " epochs=1").status, 0);
  const std::string from = "export --run " + path("run"), out = " --out " + path("model.onnx");
  const Outcome exported = kdef(from + out);
  ASSERT_EQ(exported.status, 0) << exported.text;
  EXPECT_THAT(exported.text, HasSubstr("The ensemble: "));
  const std::string all = read_file(path("model.onnx"));
  EXPECT_THAT(all, HasSubstr("ensemble of " + path("run")));
  EXPECT_THAT(all, HasSubstr("networks.2."));

  const Outcome again = kdef(from + out);
  EXPECT_EQ(again.status, 2);
  EXPECT_THAT(again.text, HasSubstr("model.onnx: is already there; give another name, or --overwrite"));
  EXPECT_EQ(read_file(path("model.onnx")), all);
  EXPECT_EQ(kdef(from + out + " --student 1 --inputs matrix --overwrite").status, 0);
  const std::string one = read_file(path("model.onnx"));
  EXPECT_THAT(one, AllOf(HasSubstr("student 1 of 3"), HasSubstr("networks.0."), Not(HasSubstr("networks.2."))));

  for (const auto& [arguments, message] : std::vector<std::pair<std::string, std::string>>{
           {from + out + " --overwrite --inputs rows", "--inputs: expected named or matrix, found 'rows'"},
           {from + out + " --overwrite --vocabulary x.json", "--vocabulary: is for --out FILE.safetensors"},
           {from + out + " --overwrite --student 4", "--student: expected best, ensemble or a number from 1 to 3"},
           {from + " --student 1 --inputs named --out " + path("served"), "--inputs: is for --out FILE.onnx"},
           {from + out + " --overwrite --inputs matrix --words", "--words: needs named inputs"},
           {from + " --student 1 --words --out " + path("served"), "--words: is for --out FILE.onnx"},
           {from + " --student 1 --overwrite --out " + path("served"), "--overwrite: is for a file"},
           {from + " --out " + path("served"), "--student is missing"}}) {
    const Outcome refused = kdef(arguments);
    EXPECT_EQ(refused.status, 2) << arguments;
    EXPECT_THAT(refused.text, HasSubstr(message));
  }
  EXPECT_EQ(read_file(path("model.onnx")), one);
}

TEST_F(RunTest, PredictDoesNotReplaceItsModel) {
  const std::string run = path("run"), file = path("model.kdef");
  ASSERT_EQ(train("epochs=1 --run " + run).status, 0);
  ASSERT_EQ(kdef("export --run " + run + " --out " + file).status, 0);
  for (const auto& [model, out] : {std::pair{run, run + "/model.safetensors"}, std::pair{file, file}}) {
    const std::string before = read_file(out);
    const Outcome outcome = kdef("predict --run " + model + " --data " + path("data/test.csv") + " --out " + out);
    EXPECT_EQ(outcome.status, 2) << outcome.text;
    EXPECT_THAT(outcome.text, testing::HasSubstr("is a file of the model that predicts"));
    EXPECT_EQ(read_file(out), before);
  }
}

TEST_F(RunTest, BenchOfPredictionEndsWithItsJson) {
  const Outcome outcome =
      kdef("bench predict --shape ml-1m --students 2 --batch 64 --latency-rows 50 --seconds 1 --threads 2");
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  const Json json = Json::parse(lines(outcome.text).back());
  for (const char* key :
       {"rows_per_s", "batch_ms", "engine_ms", "gemm_ms", "ratio", "peak_mib", "scorer_mib", "latency_p50_us"})
    EXPECT_GT(json[key].get<double>(), 0) << key;
  EXPECT_EQ(json["compiled"], true);
  EXPECT_GE(json["latency_p99_us"], json["latency_p50_us"]);
  EXPECT_GE(json["latency_p99_all_threads_us"], json["latency_p50_all_threads_us"]);
}

TEST_F(RunTest, DemoComparesFour) {
  const Outcome outcome = kdef("demo --rows 3000 --out " + path("demo"));
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  for (const char* words : {"KDEF, 3 students", "mean ensemble of 3", "sum ensemble of 3", "one network",
                            "students' AUC", "The sum ensemble is ", "KDEF is ", "Students alone, AUC: "}) {
    EXPECT_THAT(outcome.text, HasSubstr(words));
  }
  size_t titles = 0;
  bool in_table = false;
  for (const std::string& line : lines(outcome.text)) {
    titles += line == "epoch  step   time   train   valid     AUC      NE  students' AUC";
    in_table = line.starts_with("epoch") || (in_table && line.starts_with(" "));
    if (in_table || line.find("ensemble of 3") != std::string::npos) {
      EXPECT_LE(line.size(), 80u) << line;
    }
  }
  EXPECT_EQ(titles, 3u) << "one table for each ensemble\n" << outcome.text;
  EXPECT_TRUE(std::filesystem::exists(path("demo/report.html")));
  EXPECT_THAT(outcome.text, HasSubstr(path("demo") + "/report.html"));
}

TEST_F(RunTest, TheAuthorsConfigurationRunsOnTheirCriteoShape) {
  ASSERT_EQ(kdef("synth --shape criteo --rows 2000 --out " + path("criteo")).status, 0);
  put(path("criteo/model_config.yaml"), R"(Base:
    model_root: './checkpoints/'
    num_workers: 8
    verbose: 1
    early_stop_patience: 2
    pickle_feature_encoder: True
    save_best_only: True
    eval_steps: null
    debug_mode: False
    group_id: null
    use_features: null
    feature_specs: null
    feature_config: null

EKTF_Criteo:
    model: EKTF
    dataset_id: Criteo_x4_10_h5
    loss: 'binary_crossentropy'
    metrics: ['logloss', 'AUC']
    task: binary_classification
    optimizer: adam
    learning_rate: 1.e-3
    embedding_regularizer: 1.e-5
    net_regularizer: 0
    batch_size: 10000
    embedding_dim: 16
    num_student: 3
    hidden_units: [400, 400, 400]
    hidden_activations: relu
    net_dropout: 0.1
    batch_norm: True
    epochs: 100
    shuffle: True
    seed: 2024
    monitor: {'AUC': 1, 'logloss': 0}
    monitor_mode: 'max'
)");
  put(path("criteo/dataset_config.yaml"), "Criteo_x4_10_h5:\n    data_format: h5\n    data_root: " + path("cache") + R"(
    feature_cols:
    -   active: true
        dtype: float
        fill_na: 0
        na_value: 0
        name: [I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I11, I12, I13]
        preprocess: convert_to_bucket
        type: categorical
    -   active: true
        dtype: str
        fill_na: ''
        na_value: ''
        name: [C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, C16,
            C17, C18, C19, C20, C21, C22, C23, C24, C25, C26]
        type: categorical
    label_col: {dtype: float, name: Label}
    min_categr_count: 10
    train_data: )" + path("criteo/train.csv") +
                                              "\n    valid_data: " + path("criteo/valid.csv") +
                                              "\n    test_data: " + path("criteo/test.csv") + "\n");
  const Outcome outcome = kdef("train --config " + path("criteo") + " --expid EKTF_Criteo --run " + path("run") +
                               " batch_size=512 epochs=1 'hidden_units=[32, 16]'");
  EXPECT_EQ(outcome.status, 0) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("keys without effect here: "));
  EXPECT_THAT(outcome.text, HasSubstr("num_workers"));
}

}  // namespace
}  // namespace kdef::test
