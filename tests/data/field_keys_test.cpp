#include "data/field_keys.h"

#include <yaml-cpp/yaml.h>

#include <set>

#include "data/builtin/yaml_files.h"
#include "data/encode/encoder.h"
#include "data/encode/prepare.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

// A value that is not the default.
KeyValue another(const FieldKey& key) {
  const FieldConfig standard;
  switch (key.shape) {
    case KeyShape::boolean:
      return !std::get<bool>(key.config.get(standard));
    case KeyShape::integer:
      return int64_t{7};
    case KeyShape::choice:
      return std::get<int64_t>(key.config.get(standard)) == 0 ? int64_t{1} : int64_t{0};
    case KeyShape::cells:
      return std::vector<std::string>{"NULL", "-999"};
    default:
      return std::string("text");
  }
}

TEST(FieldKeys, EveryKeyWritesWhatItReads) {
  std::set<std::string> names, stored;
  for (const FieldKey& key : field_keys()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
    EXPECT_TRUE(stored.insert(key.stored_name()).second) << key.name;
    EXPECT_EQ(key.choices.empty(), key.shape != KeyShape::choice) << key.name;
    FieldConfig field;
    key.config.set(field, another(key));
    EXPECT_EQ(key.config.get(field), another(key)) << key.name;
    for (const FieldKey& other : field_keys()) {
      if (&other != &key) {
        EXPECT_EQ(other.config.get(field), other.config.get(FieldConfig{})) << key.name;
      }
    }
  }
}

TEST(FieldKeys, ChoicesStandInTheOrderOfTheEnumeration) {
  const auto stored = [](const char* key, auto value) {
    return std::string(field_key(key).choices.at(static_cast<size_t>(value)).stored);
  };
  EXPECT_EQ(stored("type", FieldType::categorical), "categorical");
  EXPECT_EQ(stored("type", FieldType::sequence), "sequence");
  EXPECT_EQ(stored("type", FieldType::numeric), "numeric");
  EXPECT_EQ(stored("dtype", CellType::str), "str");
  EXPECT_EQ(stored("dtype", CellType::integer), "int");
  EXPECT_EQ(stored("dtype", CellType::real), "float");
  EXPECT_EQ(stored("preprocess", Preprocess::none), "none");
  EXPECT_EQ(stored("preprocess", Preprocess::convert_to_bucket), "convert_to_bucket");
  EXPECT_EQ(stored("preprocess", Preprocess::extract_country_code), "extract_country_code");
  EXPECT_EQ(stored("preprocess", Preprocess::bucketize_age), "bucketize_age");
  EXPECT_EQ(stored("padding", Padding::post), "post");
  EXPECT_EQ(stored("padding", Padding::pre), "pre");
  EXPECT_EQ(stored("feature_encoder", Pooling::average), "average");
  EXPECT_EQ(stored("feature_encoder", Pooling::sum), "sum");
  EXPECT_EQ(stored("feature_encoder", Pooling::none), "none");
  EXPECT_EQ(stored("normalizer", Normalizer::none), "none");
  EXPECT_EQ(stored("normalizer", Normalizer::standard), "StandardScaler");
  EXPECT_EQ(stored("normalizer", Normalizer::min_max), "MinMaxScaler");
}

TEST(FieldKeys, TheFeatureMapHasWhatANetworkReads) {
  std::set<std::string> names;
  for (const FieldKey& key : field_keys()) {
    if (key.in_feature_map()) names.insert(key.name);
  }
  EXPECT_EQ(names, (std::set<std::string>{"name", "type", "max_len", "feature_encoder", "pretrain_dim", "freeze_emb",
                                          "pretrain_usage", "embedding_dim", "linear", "share_embedding", "source"}));
}

class StoredFields : public ::testing::Test {
 protected:
  StoredFields() {
    FieldConfig all = field("a"), price = field("p", FieldType::numeric, CellType::real),
                tags = field("t", FieldType::sequence);
    all.fill_na = "";
    all.min_categr_count = 1;
    all.embedding_dim = 4;
    price.normalizer = Normalizer::min_max;
    tags.splitter = "|";
    tags.padding = Padding::pre;
    tags.pooling = Pooling::sum;
    tags.share_embedding = "a";
    config_.id = "set";
    config_.fields = {all, price, tags};
    config_.train_data = dir_.file("train.csv", "label,a,p,t\n1,x,0,x|y\n0,y,2,\n");
  }
  TemporaryFolder dir_;
  DatasetConfig config_;
};

// The bytes decide whether the caches that exist stay fresh, and whether the vocabularies of trained runs can be read.
TEST_F(StoredFields, FilesOfACacheKeepTheirBytes) {
  prepare(config_, dir_ / "cache");
  const std::string a = R"({"name":"a","type":"categorical","dtype":"str","preprocess":"none","splitter":"^",)"
                        R"("max_len":0,"padding":"post","pooling":"average","share_embedding":"","fill_na":"",)"
                        R"("embedding_dim":4,"shift":0.0,"scale":1.0})";
  const std::string p = R"({"name":"p","type":"numeric","dtype":"float","preprocess":"none","splitter":"^",)"
                        R"("max_len":0,"padding":"post","pooling":"average","share_embedding":"","shift":0.0,)"
                        R"("scale":0.5})";
  const std::string t = R"({"name":"t","type":"sequence","dtype":"str","preprocess":"none","splitter":"|",)"
                        R"("max_len":2,"padding":"pre","pooling":"sum","share_embedding":"a","shift":0.0,)"
                        R"("scale":1.0})";
  EXPECT_NE(read_file(dir_ / "cache/vocabulary.kdefvoc").find("\"fields\":[" + a + "," + p + "," + t + "]"),
            std::string::npos);
  std::string made_from = read_file(dir_ / "cache/prepared.json");
  std::erase_if(made_from, [](char c) { return c == ' ' || c == '\n'; });
  const auto settings = [](std::string json, const std::string& fingerprint) {
    return json.substr(0, json.find(",\"shift\"")) + fingerprint + "}";
  };
  std::string sequence = settings(t, R"(,"normalizer":"none")");
  sequence.replace(sequence.find("\"max_len\":2"), 11, "\"max_len\":0");  // as configured
  EXPECT_NE(made_from.find("\"fields\":[" + settings(a, R"(,"normalizer":"none","min_categr_count":1)") + "," +
                           settings(p, R"(,"normalizer":"MinMaxScaler")") + "," + sequence + "]"),
            std::string::npos)
      << made_from;
  EXPECT_EQ(read_file(dir_ / "cache/kdef_feature_map.json"), R"({
 "dataset": "set",
 "label": "label",
 "fields": [
  {
   "name": "a",
   "type": "categorical",
   "vocab_size": 4,
   "embedding_dim": 4
  },
  {
   "name": "p",
   "type": "numeric"
  },
  {
   "name": "t",
   "type": "sequence",
   "vocab_size": 4,
   "max_len": 2,
   "pooling": "sum",
   "share_embedding": "a"
  }
 ]
}
)");
}

TEST_F(StoredFields, AnEncoderReadsWhatItWrote) {
  prepare(config_, dir_ / "cache");
  const Encoder encoder = Encoder::load(dir_ / "cache");
  ASSERT_EQ(encoder.config().fields.size(), config_.fields.size());
  for (size_t f = 0; f < config_.fields.size(); ++f) {
    for (const FieldKey& key : field_keys()) {
      if (key.stored_in != StoredIn::encoder || key.name == std::string("max_len")) continue;
      EXPECT_EQ(key.config.get(encoder.config().fields[f]), key.config.get(config_.fields[f])) << f << key.name;
    }
  }
}

TEST_F(StoredFields, ConfigurationsHaveEveryKeyThatIsSet) {
  config_.fields[0].active = false;
  config_.fields[1].fill_na = "0";
  config_.fields[1].na_values = {"NaN", "it's"};
  write_yaml_files(dir_.path(), config_, {});
  const std::string text = read_file(dir_ / "dataset_config.yaml");
  EXPECT_NE(text.find("- {name: 'a', type: categorical, dtype: str, active: false, fill_na: '', min_categr_count: 1, "
                      "embedding_dim: 4}\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("- {name: 'p', type: numeric, dtype: float, active: true, fill_na: 0, na_values: "
                      "['NaN', 'it''s'], normalizer: MinMaxScaler}\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("- {name: 't', type: sequence, dtype: str, active: true, splitter: '|', max_len: 0, padding: "
                      "pre, feature_encoder: 'layers.MaskedSumPooling()', share_embedding: 'a'}\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(YAML::Load(text)["set"]["feature_cols"].size(), 3u);
}

}  // namespace
}  // namespace kdef::data
