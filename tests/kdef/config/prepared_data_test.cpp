// Data that FuxiCTR has prepared, from its feature_map.json to a trained model.
#include "kdef/config/prepared_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/error.h"
#include "data/raw/parquet.h"
#include "kdef/config/config.h"
#include "kdef/run/run.h"
#include "tests/support/files.h"

namespace kdef {
namespace {

using test::put;
using test::read_file;
using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr const char* kModels = R"(
prepared:
    model: DeepFM
    dataset_id: tiny
    embedding_dim: 8
    hidden_units: [16]
    epochs: 1
    metrics: [AUC, logloss, gAUC]
    group_id: group
    monitor: AUC
)";

class PreparedData : public testing::Test {
 protected:
  PreparedData() {
    fs::create_directories(dir_ / "data");
    fs::create_directories(dir_ / "config");
    fs::copy(KDEF_SOURCE_DIR "/tests/fixtures/fuxictr/prepared/tiny", dir_ / "data/tiny");
    put(dir_ / "config/model_config.yaml", kModels);
  }
  void describe(const std::string& format) {
    const std::string folder = dir_ / "data/tiny/";
    put(dir_ / "config/dataset_config.yaml", "tiny:\n    data_root: " + (dir_ / "data/") +
                                                 "\n    data_format: " + format + "\n    train_data: " + folder +
                                                 "train." + format + "\n    valid_data: " + folder + "valid." + format +
                                                 "\n    test_data: " + folder + "test." + format + "\n");
  }
  ExperimentConfig load(const std::vector<std::string>& overrides = {}) {
    return load_experiment(dir_ / "config", "prepared", overrides);
  }
  // What is said of a map of this text.
  std::string refusal(const std::string& map) {
    put(dir_ / "data/tiny/feature_map.json", map);
    try {
      load();
    } catch (const InputError& e) {
      return e.what();
    }
    return "";
  }
  TrainingResult train(const std::string& format) {
    describe(format);
    RunOptions options;
    options.directory = dir_ / ("run_" + format);
    return run_experiment(load(), options);
  }

  const test::TemporaryDirectory dir_;
};

// FuxiCTR's paths start at the script, which is in the folder above the configuration, or above that.
TEST_F(PreparedData, PathsStartAtTheScriptToo) {
  // A folder of this name is not above the current directory, at which paths start first.
  fs::rename(dir_ / "data", dir_ / "rows-beside-the-script");
  const auto load_from = [&](const std::string& folder, const std::string& root) {
    fs::create_directories(dir_ / folder);
    put(dir_ / folder + "/model_config.yaml", kModels);
    put(dir_ / folder + "/dataset_config.yaml", "tiny: {data_root: " + root + ", train_data: " + root +
                                                    "tiny/train, data_format: npz, valid_data: " + root +
                                                    "tiny/valid.npz, test_data: " + root + "tiny/test.npz}\n");
    return load_experiment(dir_ / folder, "prepared").dataset;
  };
  for (const auto& [folder, root] :
       std::vector<std::pair<std::string, std::string>>{{"model_zoo/DCN/config", "../../rows-beside-the-script/"},
                                                        {"demo/config/example2", "../rows-beside-the-script/"}}) {
    const data::DatasetConfig dataset = load_from(folder, root);
    ASSERT_EQ(dataset.fields.size(), 5u) << folder;
    EXPECT_EQ(dataset.data_root, dir_ / "rows-beside-the-script/");
    EXPECT_EQ(dataset.train_data, dir_ / "rows-beside-the-script/tiny/train.npz");
  }
}

TEST_F(PreparedData, ColumnsComeFromTheFeatureMap) {
  describe("npz");
  const ExperimentConfig config = load();
  const data::DatasetConfig& dataset = config.dataset;
  EXPECT_FALSE(dataset.rebuild);
  EXPECT_EQ(dataset.label, "clk");
  ASSERT_EQ(dataset.fields.size(), 5u);
  EXPECT_EQ(dataset.fields[0].name, "user");
  EXPECT_FALSE(dataset.fields[0].remap);
  EXPECT_EQ(dataset.fields[0].id_count, 22);
  EXPECT_EQ(dataset.fields[2].type, data::FieldType::sequence);
  EXPECT_EQ(dataset.fields[2].pooling, data::Pooling::sum);
  EXPECT_EQ(dataset.fields[2].max_len, 4);
  EXPECT_EQ(dataset.fields[2].share_embedding, "item");
  EXPECT_EQ(dataset.fields[3].type, data::FieldType::numeric);
  EXPECT_FALSE(dataset.fields[4].active) << "meta";
  EXPECT_EQ(cache_directory(config), dir_ / "data/tiny/kdef");
  // A run's config.yaml says the same without the map.
  put(dir_ / "config.yaml", to_yaml(config));
  fs::remove(dir_ / "data/tiny/feature_map.json");
  EXPECT_EQ(to_yaml(load_resolved(dir_ / "config.yaml")), to_yaml(config));
}

TEST_F(PreparedData, IsTrainedAndLeftAsItIs) {
  const std::string map = read_file(dir_ / "data/tiny/feature_map.json");
  const TrainingResult npz = train("npz");
  EXPECT_EQ(npz.test.rows, 64);
  EXPECT_EQ(read_file(dir_ / "data/tiny/feature_map.json"), map);
  if (!data::reads_parquet()) GTEST_SKIP() << "the part with Parquet: this kdef is built without Arrow C++";
  train("parquet");
  EXPECT_EQ(read_file(dir_ / "run_npz/model.safetensors"), read_file(dir_ / "run_parquet/model.safetensors"));
}

TEST_F(PreparedData, MapsThatAreRefused) {
  describe("npz");
  const std::string head = "{\"dataset_id\": \"tiny\", \"labels\": [\"clk\"], \"features\": ";
  EXPECT_THAT(refusal("{\"dataset\": \"tiny\", \"fields\": []}"), HasSubstr("is not a feature_map.json of FuxiCTR"));
  EXPECT_THAT(refusal("{\"dataset_id\": \"other\", \"labels\": [\"clk\"], \"features\": []}"),
              HasSubstr("this is the map of another data set; 'tiny' is expected"));
  EXPECT_THAT(refusal("{\"dataset_id\": \"tiny\", \"labels\": [\"a\", \"b\"], \"features\": []}"),
              HasSubstr("several labels"));
  EXPECT_THAT(refusal(head + "[{\"user\": {\"type\": \"categorical\", \"padding_idx\": 3}}]}"),
              HasSubstr("expected 0, the id of padding"));
  EXPECT_THAT(refusal(head + "[{\"user\": {\"vocab_size\": 3}}]}"), HasSubstr("expected a key 'type'"));
  EXPECT_THAT(refusal(head + "[{\"user\": {\"type\": \"categorical\", \"vocab_sise\": 3}}]}"),
              AllOf(HasSubstr("vocab_size"), HasSubstr("features"), testing::Not(HasSubstr("feature_cols"))));
  fs::remove(dir_ / "data/tiny/feature_map.json");
  try {
    load();
    ADD_FAILURE() << "no error";
  } catch (const InputError& e) {
    EXPECT_THAT(e.what(), HasSubstr("has no key 'feature_cols'; for data that FuxiCTR has prepared, its "
                                    "feature_map.json is expected in"));
  }
}

TEST_F(PreparedData, FilesMayLackTheEndingOfTheirFormat) {
  describe("npz");
  const std::string train = dir_ / "data/tiny/train";
  EXPECT_EQ(load({"train_data=" + train}).dataset.train_data, train + ".npz");
  EXPECT_EQ(load({"train_data=" + train, "data_format=parquet"}).dataset.train_data, train + ".parquet");
  EXPECT_EQ(load({"train_data=" + train, "data_format=csv"}).dataset.train_data, train);
  EXPECT_EQ(load({"train_data=nowhere"}).dataset.train_data, "nowhere");
  put(dir_ / "config/rows.npz", "");
  EXPECT_EQ(load({"train_data=rows"}).dataset.train_data, dir_ / "config/rows.npz");
}

TEST_F(PreparedData, ColumnsOfTheConfigurationCount) {
  describe("npz");
  const std::vector<std::string> columns = {"feature_cols=[{name: user, type: categorical, dtype: str}]",
                                            "label_col=clk"};
  try {
    load(columns);
    ADD_FAILURE() << "ids would be made of ids";
  } catch (const InputError& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr("dataset_config.yaml:3:"), HasSubstr("feature_map.json), and these rows"),
                                HasSubstr("rebuild_dataset: true")));
  }
  for (const char* format : {"data_format=csv", "data_format=null", "data_format=parquet"}) {
    try {
      load({columns[0], columns[1], format});
      ADD_FAILURE() << "ids would be made of ids: " << format;
    } catch (const InputError& e) {
      EXPECT_THAT(e.what(), AllOf(HasSubstr("key 'train_data'"), HasSubstr("feature_map.json)")));
    }
    put(dir_ / "raw.csv", "user,clk\n");
    const std::string raw = dir_ / "raw.csv";
    EXPECT_NO_THROW(
        load({columns[0], columns[1], format, "train_data=" + raw, "valid_data=" + raw, "test_data=" + raw}));
  }
  const ExperimentConfig config = load({columns[0], columns[1], "rebuild_dataset=true"});
  EXPECT_TRUE(config.dataset.rebuild);
  EXPECT_EQ(config.dataset.fields.size(), 1u);
  const ExperimentConfig ids = load(
      {"feature_cols=[{name: user, type: categorical, vocab_size: 22}]", "label_col=clk", "rebuild_dataset=false"});
  EXPECT_FALSE(ids.dataset.fields[0].remap);
  EXPECT_EQ(ids.dataset.fields[0].id_count, 22);
}

}  // namespace
}  // namespace kdef
