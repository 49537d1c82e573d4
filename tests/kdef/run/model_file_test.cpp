// A model file is the run that it was made of, to the last bit; what is no model file is refused before it is used.
#include "kdef/run/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <sstream>

#include "core/io/file.h"
#include "data/encode/word_tables.h"
#include "kdef/measure/evaluation.h"
#include "kdef/run/run.h"
#include "kdef/run/warm_start.h"
#include "kdef/serve/scorer.h"
#include "kdef/study/report.h"
#include "tests/data/npz.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using test::SmallExperiment;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Everything that a row of a file becomes.
struct Scored {
  std::vector<int32_t> ids;
  std::vector<float> numbers, scores, students;
  std::string evaluation;
  bool operator==(const Scored&) const = default;
};

Scored scored(const kdef::Run& run, const std::string& rows) {
  Scored all;
  const Scorer scorer(run.model());
  data::RawFile file(run.encoder(), rows, true), again(run.encoder(), rows, true);
  data::Batch batch;
  while (file.next(batch, 100)) {
    const Probabilities p =
        predict(scorer, model_input(batch, run.encoder().id_columns(), run.encoder().numeric_columns()));
    all.ids.insert(all.ids.end(), batch.ids.begin(), batch.ids.end());
    all.numbers.insert(all.numbers.end(), batch.numerics.begin(), batch.numerics.end());
    all.scores.insert(all.scores.end(), p.ensemble.begin(), p.ensemble.end());
    all.students.insert(all.students.end(), p.students.begin(), p.students.end());
  }
  all.evaluation = to_json(
      evaluate(run.model(), [&](data::Batch& b) { return again.next(b, 256); }, {run.config().training.metrics}));
  return all;
}

std::string refusal(const std::string& path) {
  try {
    const kdef::Run run(path);
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

std::string refusal_of_export(const std::string& run, const std::string& student, const std::string& out) {
  try {
    export_model_file(run, student, {}, out);
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

class ModelFileTest : public testing::Test {
 protected:
  void train(std::vector<std::string> overrides = {}) {
    overrides.insert(overrides.begin(), {"epochs=1", "num_student=2"});
    RunOptions options;
    options.directory = run_;
    options.overwrite = true;
    run_experiment(e_.load(overrides), options);
  }
  void export_to(const std::string& path, bool hashes_only = false) {
    export_model_file(run_, "ensemble", {hashes_only, /*overwrite=*/true}, path);
  }
  // Both kinds of files score rows of training, and rows with words that training did not have, as the run does.
  void expect_same() {
    const std::string unknown = test::read_file(rows_) + "1,nobody,nothing,7777,,?,24,none,zzz^20,,1e9\n";
    test::put(e_.directory / "rows.csv", unknown);
    const Scored want = scored(kdef::Run(run_), e_.directory / "rows.csv");
    ASSERT_GT(want.scores.size(), 100u);
    for (const bool hashes_only : {false, true}) {
      export_to(file_, hashes_only);
      const Scored got = scored(kdef::Run(file_), e_.directory / "rows.csv");
      EXPECT_EQ(got.ids, want.ids);
      EXPECT_TRUE(got == want) << (hashes_only ? "hashes" : "words");
    }
  }

  const SmallExperiment e_{1000};
  const std::string run_ = e_.directory / "run", file_ = e_.directory / "model.kdef",
                    rows_ = e_.directory / "data/test.csv";
};

TEST_F(ModelFileTest, HasTheScoresOfItsRunForEveryKindOfField) {
  data::write_npz(e_.directory / "table.npz",
                  {{"key", data::npy_bytes("|S6", "(2,)", std::string("1\0\0\0\0\0nobody", 12))},
                   {"value", data::npy<float>("<f4", {0.25f, -2, 3, 0.5f, 4, 8}, 3)}});
  const std::string user = "{name: user, type: categorical, dtype: str";
  train({"feature_cols=[" + user + ", pretrained_emb: " + (e_.directory / "table.npz") +
         ", pretrain_dim: 3}, {name: item, type: categorical, dtype: str, min_categr_count: 3, fill_na: none}, "
         "{name: category, type: categorical, dtype: int, remap: false, vocab_size: 8000}, "
         "{name: city, type: categorical, dtype: str, share_embedding: item}, "
         "{name: tags, type: sequence, splitter: ^, max_len: 4, padding: pre}, "
         "{name: price, type: categorical, dtype: float, preprocess: convert_to_bucket, fill_na: 0}, "
         "{name: age, type: numeric, dtype: float, fill_na: 0, normalizer: MinMaxScaler}]"});
  expect_same();
}

// No vocabulary holds the file open then.
TEST_F(ModelFileTest, HasTheScoresOfItsRunWhereAllFieldsAreNumbers) {
  train({"feature_cols=[{name: [price, age], type: numeric, dtype: float, fill_na: 0, normalizer: StandardScaler}]"});
  expect_same();
}

TEST_F(ModelFileTest, HasTheScoresOfItsRunWithGrownVocabularies) {
  train();
  ExperimentConfig config =
      e_.load({"epochs=1", "num_student=2", "init=" + run_, "init_optimizer=false", "grow_vocabulary=true",
               "data_root=" + (e_.directory / "cache2"), "train_data=" + (e_.directory / "more.csv")});
  test::put(e_.directory / "more.csv",
            test::read_file(e_.directory / "data/train.csv") + "1,nobody,nothing,7777,,?,24,none,zzz^20,1,2\n");
  RunOptions options;
  options.directory = e_.directory / "grown";
  run_experiment(config, options);
  const kdef::Run grown(options.directory);
  ASSERT_NE(grown.encoder().columns()[0].vocabulary->out_of_vocabulary(),
            grown.encoder().columns()[0].vocabulary->size() - 1);
  export_model_file(options.directory, "ensemble", {}, file_);
  EXPECT_TRUE(scored(kdef::Run(file_), e_.directory / "more.csv") == scored(grown, e_.directory / "more.csv"));
}

TEST_F(ModelFileTest, HasTheScoresOfItsRunForOtherEnsembles) {
  for (const std::vector<std::string>& overrides :
       {std::vector<std::string>{"batch_norm=true", "shared_embedding=false"},
        {"ensemble=concat"},
        {"model=EKTF_L", "num_student=3"}}) {
    train(overrides);
    const Scored want = scored(kdef::Run(run_), rows_);
    export_to(file_);
    EXPECT_TRUE(scored(kdef::Run(file_), rows_) == want) << overrides[0];
  }
}

TEST_F(ModelFileTest, HoldsOneStudentToo) {
  train();
  const Scored both = scored(kdef::Run(run_), rows_);
  EXPECT_EQ(export_model_file(run_, "2", {}, file_).student, 2u);
  const Scored one = scored(kdef::Run(file_), rows_);
  for (size_t b = 0; b < one.scores.size(); ++b) ASSERT_EQ(one.scores[b], both.students[2 * b + 1]) << b;
}

TEST_F(ModelFileTest, OpensFromMemory) {
  train();
  export_to(file_);
  const std::string bytes = test::read_file(file_);
  std::vector<uint64_t> aligned(bytes.size() / 8 + 1);
  std::memcpy(aligned.data(), bytes.data(), bytes.size());
  const kdef::Run run = kdef::Run::of_bytes({reinterpret_cast<const char*>(aligned.data()), bytes.size()}, "memory");
  EXPECT_TRUE(scored(run, rows_) == scored(kdef::Run(run_), rows_));
}

// Whether an address lies in the map of a file.
bool is_in_map_of(const std::string& path, const void* address) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  std::istringstream maps(test::read_file("/proc/self/maps"));
  for (std::string line; std::getline(maps, line);) {
    uintptr_t first = 0, last = 0;
    if (line.ends_with(path) && std::sscanf(line.c_str(), "%lx-%lx", &first, &last) == 2 && first <= at && at < last)
      return true;
  }
  return false;
}

TEST_F(ModelFileTest, ItsWeightsAreUsedWhereTheyLie) {
  train();
  export_to(file_);
  const std::string whole = test::read_file(file_);
  const kdef::Run of_directory(run_);
  std::unique_ptr<Ensemble> model = kdef::Run(file_).take_model();  // the run is gone, and has let go of the file
  const std::vector<nn::Parameter> want = of_directory.model().parameters();
  std::vector<nn::Parameter> got = model->parameters();
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_TRUE(is_in_map_of(file_, got[i].tensor.raw())) << got[i].name;
    EXPECT_EQ(got[i].tensor.to_vector<float>(), want[i].tensor.to_vector<float>()) << got[i].name;
  }
  // A model that is changed changes nothing but itself.
  got[0].tensor.fill(7);
  EXPECT_EQ(model->parameters()[0].tensor.to_vector<float>()[0], 7);
  EXPECT_EQ(kdef::Run(file_).model().parameters()[0].tensor.to_vector<float>(), want[0].tensor.to_vector<float>());
  EXPECT_TRUE(test::read_file(file_) == whole);
  const Tensor table = got[0].tensor;
  model.reset();
  got.clear();
  EXPECT_EQ(table.to_vector<float>()[0], 7) << "a tensor keeps the file";
  std::vector<uint64_t> bytes(whole.size() / 8 + 1);
  std::memcpy(bytes.data(), whole.data(), whole.size());
  const auto* first = reinterpret_cast<const char*>(bytes.data());
  const kdef::Run of_bytes = kdef::Run::of_bytes({first, whole.size()}, "bytes");
  const auto* weight = reinterpret_cast<const char*>(of_bytes.model().parameters()[0].tensor.raw());
  EXPECT_TRUE(weight < first || weight >= first + whole.size()) << "bytes of the caller are not written";
}

TEST_F(ModelFileTest, AnExportIsRepeatableUnlessItsKeyIsRandom) {
  train();
  export_to(file_);
  const std::string first = test::read_file(file_);
  export_to(file_);
  EXPECT_TRUE(test::read_file(file_) == first);
  export_to(file_, true);
  const std::string hashed = test::read_file(file_);
  export_to(file_, true);
  EXPECT_FALSE(test::read_file(file_) == hashed);
}

TEST_F(ModelFileTest, APrivateFileHasNoWordOfTheData) {
  const std::string secret = "a-word-that-is-secret";
  std::string rows = test::read_file(e_.directory / "data/train.csv");
  for (int i = 0; i < 3; ++i) rows += "1," + secret + ",1,1,1,1,1,1,1^2,1,2\n";
  test::put(e_.directory / "data/train.csv", rows);
  train();
  export_to(file_);
  EXPECT_THAT(test::read_file(file_), HasSubstr(secret));
  export_to(file_, true);
  EXPECT_THAT(test::read_file(file_), Not(HasSubstr(secret)));
  const kdef::Run run(file_), of_words(run_);
  const data::Vocabulary& user = *run.encoder().columns()[0].vocabulary;
  EXPECT_FALSE(user.has_words());
  EXPECT_THROW(user.word(0), InputError);
  EXPECT_EQ(user.id(secret), of_words.encoder().columns()[0].vocabulary->id(secret));
  EXPECT_NE(user.id(secret), user.out_of_vocabulary());
}

TEST_F(ModelFileTest, IsNotReplacedUnasked) {
  train();
  test::put(file_, "precious");
  EXPECT_THAT(refusal_of_export(run_, "ensemble", file_), AllOf(HasSubstr(file_), HasSubstr("--overwrite")));
  EXPECT_EQ(test::read_file(file_), "precious");
  EXPECT_THAT(refusal_of_export(run_, "3", file_), HasSubstr("--student"));
  export_to(file_);
  EXPECT_THAT(refusal_of_export(file_, "ensemble", e_.directory / "again.kdef"), HasSubstr(file_));
}

// A byte that is changed, in the header or in a section, and an end that is missing are noticed wherever they are.
TEST_F(ModelFileTest, DamageIsRefused) {
  train({"embedding_dim=2", "hidden_units=[2]"});
  export_to(file_);
  const std::string whole = test::read_file(file_);
  const std::string bad = e_.directory / "bad.kdef";
  const ModelFile parts(file_);
  std::vector<std::pair<size_t, size_t>> used = {{0, 32 + 4 * 40}};  // header and entries
  for (const char* name : ModelFile::kSections) {
    const size_t first = whole.find(parts.section(name));
    used.emplace_back(first, first + parts.section(name).size());
  }
  for (const auto& [first, last] : used) {
    for (size_t at = first; at < last; at += std::max<size_t>(1, (last - first) / 50)) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ 0x10);
      test::put(bad, changed);
      EXPECT_THAT(refusal(bad), HasSubstr(bad)) << "byte " << at;
    }
  }
  for (size_t size = 0; size < whole.size(); size += 997) {
    test::put(bad, whole.substr(0, size));
    EXPECT_THAT(refusal(bad), HasSubstr(bad)) << size << " bytes";
  }
  test::put(bad, whole + '\0');
  EXPECT_THAT(refusal(bad), AllOf(HasSubstr("bytes, and was written with"), HasSubstr("export it again")));
}

TEST_F(ModelFileTest, ANewerVersionIsNamed) {
  train();
  export_to(file_);
  std::string newer = test::read_file(file_);
  newer[8] = 2;
  test::put(file_, newer);
  EXPECT_THAT(refusal(file_), AllOf(HasSubstr(file_), HasSubstr("version 2"), HasSubstr("reads version 1"),
                                    HasSubstr("use a newer kdef")));
  test::put(file_, "not a model");
  EXPECT_THAT(refusal(file_), AllOf(HasSubstr(file_), HasSubstr("not a model file")));
}

// A text of a section is changed into one of equal length, and all checksums hold.
void change(const std::string& path, size_t section, const std::string& from, const std::string& to) {
  std::string bytes = test::read_file(path);
  const size_t entry = 32 + 40 * section;
  uint64_t first = 0, count = 0;
  std::memcpy(&first, &bytes[entry + 16], 8);
  std::memcpy(&count, &bytes[entry + 24], 8);
  const size_t at = bytes.find(from, first);
  ASSERT_LT(at, first + count) << from;
  ASSERT_EQ(from.size(), to.size());
  bytes.replace(at, from.size(), to);
  const uint32_t crc = crc32(&bytes[first], count);
  std::memcpy(&bytes[entry + 32], &crc, 4);
  const uint32_t of_header = crc32(&bytes[32], 4 * 40, crc32(&bytes[0], 24));
  std::memcpy(&bytes[24], &of_header, 4);
  test::put(path, bytes);
}

TEST_F(ModelFileTest, WhatAnotherVersionWroteIsSaid) {
  train();
  export_to(file_);
  change(file_, 0, "net_dropout", "net_dropped");
  EXPECT_THAT(refusal(file_), AllOf(HasSubstr(file_ + ": settings"), HasSubstr("net_dropped"),
                                    HasSubstr("another version of kdef wrote this file"), HasSubstr("newer")));
  export_to(file_);
  change(file_, 1, "categorical", "cathedrical");
  EXPECT_THAT(refusal(file_),
              AllOf(HasSubstr(file_ + ": schema"), HasSubstr("another version"), Not(HasSubstr("words"))));
  const std::string config = run_ + "/config.yaml";
  test::put(config, test::read_file(config) + "from_tomorrow: 1\n");
  EXPECT_THAT(refusal(run_),
              AllOf(HasSubstr(config), HasSubstr("from_tomorrow"), HasSubstr("another version of kdef")));
}

TEST_F(ModelFileTest, WhatIsNoModelIsRefusedByWhatItIs) {
  const std::string absent = e_.directory / "absent.kdef", pipe = e_.directory / "pipe";
  const auto names_both = AllOf(HasSubstr("run directory"), HasSubstr("FILE.kdef"));
  EXPECT_THAT(refusal(absent), AllOf(HasSubstr(absent + ": cannot be opened: No such file"), names_both));
  EXPECT_THAT(refusal(""), AllOf(HasSubstr("is empty"), names_both));
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(refusal(pipe), AllOf(HasSubstr(pipe + ": is a pipe, not a regular file"), names_both));
  EXPECT_THAT(refusal(e_.directory.path()), HasSubstr("is not the directory of a run with a trained model"));
  train();
  std::filesystem::remove(run_ + "/model.safetensors");
  ASSERT_EQ(::mkfifo((run_ + "/model.safetensors").c_str(), 0600), 0);
  EXPECT_THAT(refusal(run_), HasSubstr("model.safetensors: is a pipe"));
}

TEST_F(ModelFileTest, IsNamedWhereOnlyARunWillDo) {
  train();
  export_to(file_);
  const auto message = [](const auto& work) -> std::string {
    try {
      work();
    } catch (const InputError& e) {
      return e.what();
    }
    return "";
  };
  const auto is_said = AllOf(HasSubstr(file_ + ": is a model file"), HasSubstr("run directory"));
  RunOptions options;
  options.directory = e_.directory / "next";
  EXPECT_THAT(message([&] { run_experiment(e_.load({"init=" + file_}), options); }), is_said);
  EXPECT_THAT(message([&] { export_model_file(file_, "ensemble", {}, e_.directory / "again.kdef"); }), is_said);
  EXPECT_THAT(message([&] { read_report({file_}); }), is_said);
  options.directory = file_;
  EXPECT_THAT(message([&] { run_experiment(e_.load({"epochs=1"}), options); }),
              HasSubstr(file_ + ": is a file; give the name of a folder"));
  test::put(file_, "a text");
  EXPECT_THAT(message([&] { read_report({file_}); }), HasSubstr(file_ + ": is a file; give the directory of a run"));
}

}  // namespace
}  // namespace kdef
