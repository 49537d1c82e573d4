#include "data/builtin/synth.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "data/encode/cache.h"
#include "data/encode/feature_map.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

SynthResult make(const std::string& shape, int64_t rows, const std::string& out, uint64_t seed = 1) {
  SynthConfig config;
  config.shape = shape;
  config.rows = rows;
  config.seed = seed;
  config.out_dir = out;
  return synthesize(config);
}

TEST(Synth, SameSeedSameBytes) {
  TemporaryFolder dir;
  make("default", 2000, dir / "a");
  make("default", 2000, dir / "b");
  make("default", 2000, dir / "c", 2);
  for (const char* name : {"train.csv", "valid.csv", "test.csv"}) {
    EXPECT_EQ(read_file(dir / ("a/" + std::string(name))), read_file(dir / ("b/" + std::string(name))));
    EXPECT_NE(read_file(dir / ("a/" + std::string(name))), read_file(dir / ("c/" + std::string(name))));
  }
}

TEST(Synth, SplitRateAndNoise) {
  TemporaryFolder dir;
  const SynthResult result = make("default", 100003, dir / "a");
  EXPECT_EQ(result.train_rows, 80003);
  EXPECT_EQ(result.valid_rows, 10000);
  EXPECT_EQ(result.test_rows, 10000);
  const Prepared p = prepare(result.dataset, dir / "cache");
  EXPECT_EQ(p.train_rows, 80003);
  EXPECT_EQ(p.test_rows, 10000);
  EXPECT_NEAR(static_cast<double>(p.train_positives) / static_cast<double>(p.train_rows), 0.3, 0.02);
  EXPECT_EQ(p.map.fields.size(), 10u);
  EncodedFile(test_file(dir / "cache")).verify(p.map);
}

TEST(Synth, EveryShapeIsPreparedAsItIs) {
  TemporaryFolder dir;
  const std::string map = dir.file("m.json", R"({"dataset": "m", "label": "y", "fields": [
      {"name": "a", "type": "categorical", "vocab_size": 12}, {"name": "b", "type": "categorical", "vocab_size": 2},
      {"name": "s", "type": "sequence", "vocab_size": 7, "max_len": 3}, {"name": "n", "type": "numeric"}]})");
  for (const std::string& shape : {std::string("criteo"), std::string("ml-1m"), map}) {
    const SynthResult result = make(shape, 5000, dir / ("out-" + std::to_string(shape.size())));
    const Prepared p = prepare(result.dataset, dir / "cache");
    EXPECT_EQ(p.train_rows, 4000) << shape;
    if (shape == "criteo") {
      EXPECT_EQ(p.map.fields.size(), 39u);
    } else if (shape == "ml-1m") {
      EXPECT_EQ(p.map.fields[6].max_len, 5);
    } else {
      EXPECT_EQ(p.map.fields[0].vocab_size, 12);
      EXPECT_EQ(p.map.fields[1].vocab_size, 3);  // one value at least
      EXPECT_EQ(p.map.fields[2].vocab_size, 7);
      EXPECT_EQ(p.map.fields[3].type, FieldType::numeric);
    }
  }
}

// The figures of docs/results.md are those of the feature map with the larger tables cut.
TEST(Synth, SmallCriteoIsTheCriteoMapWithSmallTables) {
  TemporaryFolder dir;
  FeatureMap map = load_feature_map(std::string(KDEF_SOURCE_DIR) + "/tests/fixtures/feature_maps/Criteo_x4_10_h5.json");
  for (Field& field : map.fields) field.vocab_size = std::min<int64_t>(field.vocab_size, 2003);
  save_feature_map(map, dir / "small.json");
  const SynthResult cut = make(dir / "small.json", 500, dir / "cut"), named = make("criteo-small", 500, dir / "named");
  const auto rows = [](const std::string& path) {
    const std::string text = read_file(path);
    return text.substr(text.find('\n'));  // the labels have other names
  };
  EXPECT_EQ(rows(cut.dataset.train_data), rows(named.dataset.train_data));
  EXPECT_EQ(rows(cut.dataset.test_data), rows(named.dataset.test_data));
}

// Every bucket of Criteo's small numeric fields comes up, and no value falls beside its bucket.
TEST(Synth, CriteoNumbersFillTheirBuckets) {
  TemporaryFolder dir;
  const SynthResult result = make("criteo", 40000, dir / "out");
  const Prepared p = prepare(result.dataset, dir / "cache");
  const std::pair<size_t, int64_t> sizes[] = {{0, 44}, {3, 41}, {9, 6}, {10, 27}, {11, 37}};
  for (const auto& [f, size] : sizes) EXPECT_EQ(p.map.fields[f].vocab_size, size) << p.map.fields[f].name;
}

TEST(Synth, ConfigurationFiles) {
  TemporaryFolder dir;
  const SynthResult result = make("default", 100, dir / "a");
  const YAML::Node data = YAML::LoadFile(dir / "a/dataset_config.yaml")[result.dataset.id];
  EXPECT_EQ(data["train_data"].as<std::string>(), dir / "a/train.csv");
  ASSERT_EQ(data["feature_cols"].size(), result.dataset.fields.size());
  for (size_t f = 0; f < result.dataset.fields.size(); ++f) {
    EXPECT_EQ(data["feature_cols"][f]["name"].as<std::string>(), result.dataset.fields[f].name);
  }
  const YAML::Node model = YAML::LoadFile(dir / "a/model_config.yaml");
  EXPECT_EQ(model["KDEF"]["model"].as<std::string>(), "EKTF");
  EXPECT_EQ(model["KDEF"]["num_student"].as<int>(), 3);
  EXPECT_EQ(model["mean"]["model"].as<std::string>(), "MLPs_mean");
  EXPECT_EQ(model["single"]["num_student"].as<int>(), 1);
  for (const char* id : {"KDEF", "mean", "single"})
    EXPECT_EQ(model[id]["dataset_id"].as<std::string>(), result.dataset.id);
}

TEST(Synth, ReplacesFilesOnlyOnRequest) {
  TemporaryFolder dir;
  make("default", 100, dir / "a");
  const std::string before = read_file(dir / "a/test.csv");
  expect_error<InputError>([&] { make("default", 100, dir / "a", 2); }, {"already has train.csv", "model_config.yaml"});
  EXPECT_EQ(read_file(dir / "a/test.csv"), before);
  SynthConfig config;
  config.rows = 100;
  config.out_dir = dir / "a";
  config.overwrite = true;
  synthesize(config);
  EXPECT_NE(read_file(dir / "a/test.csv"), before);
}

TEST(Synth, WrongArguments) {
  TemporaryFolder dir;
  expect_error<InputError>([&] { make("avazu", 100, dir / "a"); }, {"'avazu'", "default, criteo, criteo-small, ml-1m"});
  expect_error<InputError>([&] { make("default", 5, dir / "a"); }, {"rows is 5"});
  expect_error<InputError>([&] { make(dir / "none.json", 100, dir / "a"); }, {"none.json"});
  expect_error<SystemError>([&] { make("default", 100, dir.file("file", "") + "/sub"); }, {"file/sub"});
}

}  // namespace
}  // namespace kdef::data
