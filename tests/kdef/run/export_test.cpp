// Exported students and ensembles predict what they predicted within their run.
#include "kdef/run/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/io/file.h"
#include "core/io/safetensors.h"
#include "kdef/run/record.h"
#include "kdef/study/report.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using test::SmallExperiment;
using testing::AllOf;
using testing::HasSubstr;

void train_into(const ExperimentConfig& config, const std::string& directory) {
  RunOptions options;
  options.directory = directory;
  run_experiment(config, options);
}

Probabilities predictions(const std::string& run, const std::string& file) {
  const Run opened(run);
  data::RawFile rows(opened.encoder(), file, true);
  Probabilities all;
  data::Batch batch;
  while (rows.next(batch, 100)) {
    const Probabilities p =
        predict(opened.model(), model_input(batch, opened.encoder().id_columns(), opened.encoder().numeric_columns()));
    all.ensemble.insert(all.ensemble.end(), p.ensemble.begin(), p.ensemble.end());
    all.students.insert(all.students.end(), p.students.begin(), p.students.end());
  }
  return all;
}

std::string refusal(const std::string& run, const std::string& student, const std::string& out) {
  try {
    export_run(run, student, out);
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

class ExportedStudent : public testing::TestWithParam<std::vector<std::string>> {};

TEST_P(ExportedStudent, PredictsItsColumnBitForBit) {
  const SmallExperiment e;
  const std::string run = e.directory / "run", rows = e.directory / "data/test.csv";
  train_into(e.load(GetParam()), run);
  const Probabilities together = predictions(run, rows);
  const RunRecord record = read_run(run);
  const size_t m = record.config.model.students.size();
  ASSERT_EQ(together.students.size(), m * together.ensemble.size());
  for (size_t k = 0; k < m; ++k) {
    const std::string number = std::to_string(k + 1), out = e.directory / ("student" + number);
    const Exported exported = export_run(run, number, out);
    EXPECT_EQ(exported.student, k + 1);
    EXPECT_EQ(exported.students, m);
    EXPECT_LT(exported.parameters, exported.run_parameters);
    const Probabilities alone = predictions(out, rows);
    ASSERT_EQ(alone.ensemble.size(), together.ensemble.size());
    EXPECT_EQ(alone.students, alone.ensemble);
    for (size_t b = 0; b < alone.ensemble.size(); ++b) {
      ASSERT_EQ(alone.ensemble[b], together.students[b * m + k]) << "row " << b << ", student " << k + 1;
    }
    const RunRecord read = read_run(out);
    EXPECT_EQ(read.parameters, exported.parameters);
    EXPECT_EQ(read.valid->ensemble["auc"], record.valid->students[k]["auc"]);
    EXPECT_EQ(read.test->ensemble["logloss"], record.test->students[k]["logloss"]);
    EXPECT_FALSE(read.test->ensemble.calibration.empty());
    EXPECT_EQ(read.test->ensemble.calibration, record.test->students[k].calibration);
  }
}
INSTANTIATE_TEST_SUITE_P(Ensembles, ExportedStudent,
                         testing::Values(std::vector<std::string>{},
                                         std::vector<std::string>{"ensemble=mean", "batch_norm=true"},
                                         std::vector<std::string>{"ensemble=sum", "num_student=2"},
                                         std::vector<std::string>{"shared_embedding=false", "batch_norm=true"},
                                         std::vector<std::string>{"model=EKTF_L", "shared_embedding=false"}),
                         [](const auto& test) { return std::to_string(test.index); });

TEST(Export, TheBestStudentIsThatOfTheHighestValidationAuc) {
  const SmallExperiment e;
  const std::string run = e.directory / "run";
  train_into(e.load(), run);
  for (const size_t best : {3u, 1u, 2u}) {
    Evaluation valid = *read_run(run).valid, test = valid;
    for (size_t k = 0; k < 3; ++k) {
      valid.students[k].set("auc", k + 1 == best ? 0.9 : 0.8);
      test.students[k].set("auc", k + 1 == best ? 0.1 : 0.99);
    }
    write_file(run + "/result.json", result_json(valid, &test));
    const Exported exported = export_run(run, "best", e.directory / std::to_string(best));
    EXPECT_EQ(exported.student, best);
    EXPECT_EQ(exported.valid.ensemble["auc"], 0.9);
    EXPECT_EQ(exported.test->ensemble["auc"], 0.1);
  }
}

TEST(Export, HoldsOneStudentUnderTheNamesOfOneNetwork) {
  const SmallExperiment e;
  const std::string run = e.directory / "run", out = e.directory / "out";
  train_into(e.load({"shared_embedding=false"}), run);
  export_run(run, "2", out);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(out)) files.push_back(entry.path().filename().string());
  EXPECT_THAT(files,
              testing::UnorderedElementsAre("config.yaml", "vocabulary.kdefvoc", "model.safetensors", "result.json"));
  const SafetensorsFile from(run + "/model.safetensors"), model(out + "/model.safetensors");
  EXPECT_EQ(model.read("networks.0.mlp.0.weight").to_vector<float>(),
            from.read("networks.1.mlp.0.weight").to_vector<float>());
  EXPECT_FALSE(model.has("networks.1.mlp.0.weight"));
  EXPECT_EQ(model.read("embedding_layer.embedding_layer.embedding_layers.user.weight").to_vector<float>(),
            from.read("embedding_layers.1.embedding_layer.embedding_layers.user.weight").to_vector<float>());
  EXPECT_FALSE(model.has("embedding_layers.1.embedding_layer.embedding_layers.user.weight"));
}

TEST(Export, TheEnsembleWithoutTheStateOfItsTraining) {
  const SmallExperiment e;
  const std::string rows = e.directory / "data/test.csv";
  for (const char* kind : {"kdef", "concat"}) {
    const std::string run = e.directory / kind, out = run + "-out";
    train_into(e.load({std::string("ensemble=") + kind}), run);
    const Exported exported = export_run(run, "ensemble", out);
    EXPECT_EQ(exported.parameters, exported.run_parameters);
    EXPECT_EQ(predictions(out, rows).ensemble, predictions(run, rows).ensemble);
    EXPECT_EQ(predictions(out, rows).students, predictions(run, rows).students);
    EXPECT_EQ(test::read_file(out + "/result.json"), test::read_file(run + "/result.json"));
    EXPECT_FALSE(std::filesystem::exists(out + "/checkpoint"));
  }
}

TEST(Export, TheReportSaysWhatItIs) {
  const SmallExperiment e;
  const std::string run = e.directory / "run", out = e.directory / "out";
  train_into(e.load(), run);
  export_run(run, "2", out);
  const std::string page = to_html(read_report({out}));
  EXPECT_THAT(page, HasSubstr("Exported: student 2 of 3 of " + run));
  EXPECT_THAT(page, testing::Not(HasSubstr("--resume")));
  EXPECT_THAT(page, testing::Not(HasSubstr("kdef train")));
  EXPECT_THAT(page, HasSubstr("kdef predict --run " + out));
}

TEST(Export, LeavesNoFileOfAnotherRunToStandForItsOwn) {
  const SmallExperiment e;
  const std::string run = e.directory / "run", out = e.directory / "out";
  train_into(e.load({"epochs=1"}), run);
  for (const char* stale : {"metrics.jsonl", "collapse.json", "result.json"}) {
    std::filesystem::create_directories(out);
    write_file(out + "/" + stale, "{}\n");
    EXPECT_THAT(refusal(run, "1", out), AllOf(HasSubstr("already holds a run"), HasSubstr(stale))) << stale;
    std::filesystem::remove_all(out);
  }
  // What an export that was killed left behind is cleared away.
  std::filesystem::create_directories(out + ".part-abcdef");
  write_file(out + ".part-abcdef/model.safetensors", "half");
  EXPECT_EQ(refusal(run, "1", out), "");
  EXPECT_FALSE(std::filesystem::exists(out + ".part-abcdef"));
  std::filesystem::remove_all(out);
  // A path that is not UTF-8 can be named in the model's metadata all the same.
  const std::string odd = e.directory / "r\xff";
  std::filesystem::rename(run, odd);
  EXPECT_EQ(refusal(odd, "1", out), "");
  EXPECT_EQ(predictions(out, e.directory / "data/test.csv").ensemble.size(), 400u);
}

TEST(Export, APlaceThatCannotBeMadeIsASystemError) {
  const SmallExperiment e;
  const std::string run = e.directory / "run";
  train_into(e.load({"epochs=1"}), run);
  // The name of a file has at most 255 bytes.
  EXPECT_THROW(export_run(run, "1", e.directory / std::string(300, 'x')), SystemError);
}

TEST(Export, RefusesWhatItCannotDo) {
  const SmallExperiment e;
  const std::string run = e.directory / "run", out = e.directory / "out";
  train_into(e.load(), run);
  for (const char* student : {"0", "4", "-1", "worst", "1x", ""}) {
    EXPECT_THAT(refusal(run, student, out), HasSubstr("a number from 1 to 3")) << student;
  }
  EXPECT_THAT(refusal(run, "1", run), HasSubstr("already holds a run"));
  EXPECT_THAT(refusal(e.directory / "nothing", "1", out), HasSubstr("nothing: cannot be opened: No such file"));
  train_into(e.load({"ensemble=concat"}), e.directory / "concat");
  for (const char* student : {"1", "best"}) {
    EXPECT_THAT(refusal(e.directory / "concat", student, out), HasSubstr("output layers are not trained"));
  }
  Evaluation valid = *read_run(run).valid;
  for (Quality& q : valid.students) q.set("auc", std::nan(""));
  write_file(run + "/result.json", result_json(valid, nullptr));
  EXPECT_THAT(refusal(run, "best", out), HasSubstr("undefined"));
  valid.students.pop_back();
  write_file(run + "/result.json", result_json(valid, nullptr));
  EXPECT_THAT(refusal(run, "1", out), HasSubstr("3 students"));
  std::filesystem::remove(run + "/result.json");
  EXPECT_THAT(refusal(run, "1", out), HasSubstr("has not finished"));
  EXPECT_FALSE(std::filesystem::exists(out)) << "something was written";
}

}  // namespace
}  // namespace kdef
