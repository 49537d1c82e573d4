#include "kdef/run/pretrained.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/io/safetensors.h"
#include "data/encode/encoder.h"
#include "data/encode/feature_vocab.h"
#include "data/encode/prepare.h"
#include "data/encode/pretrained.h"
#include "kdef/config/build.h"
#include "kdef/run/run.h"
#include "tests/data/npz.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using testing::ElementsAre;
namespace fs = std::filesystem;

class PretrainedRun : public testing::Test {
 protected:
  PretrainedRun() {
    data::write_npz(e_.directory / "table.npz",
                    {{"key", data::npy_bytes("|S6", "(2,)", std::string("1\0\0\0\0\0nobody", 12))},
                     {"value", data::npy<float>("<f4", {0.25f, -2, 3, 0.5f, 4, 8}, 3)}});
  }
  // The experiment with a table for the column `user`.
  ExperimentConfig load(const std::string& keys, std::vector<std::string> overrides = {}) {
    overrides.insert(overrides.begin(), {"embedding_dim=4", "epochs=1",
                                         "feature_cols=[{name: user, type: categorical, dtype: str, pretrained_emb: " +
                                             (e_.directory / "table.npz") + ", " + keys +
                                             "}, {name: item, type: categorical, dtype: str}]"});
    return e_.load(overrides);
  }
  // The row of a word in the model of a run.
  std::vector<float> row(const std::string& run, const std::string& name, const std::string& word) {
    const data::Encoder encoder = data::Encoder::load(run + "/vocabulary.kdefvoc");
    const int32_t id = encoder.columns()[0].vocabulary->id(word);
    const SafetensorsFile model(run + "/model.safetensors");
    for (const std::string& found : model.names()) {
      if (!found.ends_with("embedding_layers.user." + name + ".weight")) continue;
      const std::vector<float> all = model.read(found).to_vector<float>();
      const int64_t width = model.shape(found)[1];
      return {all.begin() + id * width, all.begin() + (id + 1) * width};
    }
    return {};
  }
  std::string train(const ExperimentConfig& config, const std::string& name) {
    RunOptions options;
    options.directory = e_.directory / name;
    run_experiment(config, options);
    return options.directory;
  }

  const test::SmallExperiment e_{1000};
};

TEST_F(PretrainedRun, FrozenVectorsStayAndAreInTheModel) {
  const std::string run = train(load("pretrain_dim: 3"), "run");
  EXPECT_THAT(row(run, "pretrain_embedding", "1"), ElementsAre(0.25f, -2, 3));
  EXPECT_THAT(row(run, "pretrain_embedding", "nobody"), ElementsAre(0.5f, 4, 8));
  EXPECT_THAT(row(run, "pretrain_embedding", "a user without a vector"), ElementsAre(0, 0, 0));
  EXPECT_EQ(row(run, "id_embedding", "1").size(), 0u);
  const kdef::Run opened(run);
  EXPECT_EQ(opened.model().buffers().size() > 0, true);
}

TEST_F(PretrainedRun, OthersBeginThereAndMove) {
  const std::string run =
      train(load("pretrain_dim: 3, freeze_emb: false, pretrain_usage: sum", {"learning_rate=1e-3"}), "run");
  const std::vector<float> moved = row(run, "pretrain_embedding", "1");
  ASSERT_EQ(moved.size(), 3u);
  EXPECT_NEAR(moved[0], 0.25, 0.1);
  EXPECT_NEAR(moved[1], -2, 0.1);
  EXPECT_NE(moved[1], -2);
  EXPECT_EQ(row(run, "id_embedding", "1").size(), 4u);
  EXPECT_THAT(row(run, "id_embedding", "nobody"), ElementsAre(0, 0, 0, 0));
}

TEST_F(PretrainedRun, TheLengthIsThatOfTheEmbeddingUnlessGiven) {
  const ExperimentConfig config = load("freeze_emb: false");
  EXPECT_EQ(config.dataset.fields[0].pretrain_dim, 4);
  EXPECT_EQ(config.dataset.fields[1].pretrain_dim, 0);
  RunOptions options;
  options.directory = e_.directory / "run";
  EXPECT_THROW(run_experiment(config, options), InputError) << "vectors of 3 numbers";
}

TEST_F(PretrainedRun, VectorsThatNoRowOfTrainingGetsAreTold) {
  const auto warnings = [&](const char* keys) {
    data::write_npz(e_.directory / "table.npz", {{"key", data::npy_bytes("|S6", "(2,)", std::string(keys, 12))},
                                                 {"value", data::npy<float>("<f4", {0.25f, -2, 3, 0.5f, 4, 8}, 3)}});
    const ExperimentConfig config = load("pretrain_dim: 3");
    const auto data = data::prepare_and_open(config.dataset, e_.directory / "cache");
    nn::Builder build(1);
    const Ensemble model(config.model, embedding_fields(data.summary.map), build);
    return load_pretrained(config.dataset, data.vocabulary, model);
  };
  EXPECT_THAT(warnings("1\0\0\0\0\0nobody"), testing::IsEmpty());
  EXPECT_THAT(warnings("user_1nobody"),
              ElementsAre(testing::AllOf(testing::HasSubstr("column user: none of the 2 keys of "),
                                         testing::HasSubstr("as 'user_1', is a value of train_data, as '"),
                                         testing::HasSubstr("check that both files"))));
}

// A folder that FuxiCTR has prepared (tests/fixtures/fuxictr/record.py): its ids and its rows of tables.
class PreparedVectors : public testing::Test {
 protected:
  PreparedVectors() {
    fs::create_directories(dir_ / "data");
    fs::create_directories(dir_ / "config");
    fs::copy(KDEF_SOURCE_DIR "/tests/fixtures/fuxictr/prepared/vectors", dir_ / "data/vectors");
    const std::string folder = dir_ / "data/vectors/";
    test::put(dir_ / "config/dataset_config.yaml", "vectors: {data_root: " + (dir_ / "data/") +
                                                       ", data_format: npz, train_data: " + folder +
                                                       "train.npz, valid_data: " + folder + "valid.npz}\n");
    test::put(dir_ / "config/model_config.yaml",
              "dnn: {model: DNN, dataset_id: vectors, embedding_dim: 4, hidden_units: [8, 4], epochs: 1, "
              "learning_rate: 1.e-9, metrics: [logloss], monitor: logloss, monitor_mode: min}\n");
  }
  std::string train() {
    RunOptions options;
    options.directory = dir_ / "run";
    run_experiment(load_experiment(dir_ / "config", "dnn"), options);
    return options.directory;
  }
  std::string refusal() {
    fs::remove_all(dir_ / "run");
    try {
      train();
    } catch (const InputError& e) {
      return e.what();
    }
    return "";
  }

  const test::TemporaryDirectory dir_;
};

TEST_F(PreparedVectors, StandAtFuxiCTRsIds) {
  const std::string run = train();
  const data::FeatureMap map = data::Encoder::load(run + "/vocabulary.kdefvoc").feature_map();
  ASSERT_EQ(map.fields.size(), 2u);
  EXPECT_EQ(map.fields[0].vocab_size, 33);
  EXPECT_EQ(map.fields[0].out_of_vocabulary(), 23);
  EXPECT_EQ(map.fields[1].vocab_size, 25);
  EXPECT_EQ(map.fields[1].out_of_vocabulary(), 11);
  const kdef::Run opened(run);
  EXPECT_EQ(opened.model().parameter_count(), 484) << "that of parameters.yaml";

  const SafetensorsFile model(run + "/model.safetensors");
  const auto table = [&](const std::string& field) {
    for (const std::string& name : model.names()) {
      if (name.ends_with("embedding_layers." + field + ".pretrain_embedding.weight")) {
        return model.read(name).to_vector<float>();
      }
    }
    return std::vector<float>();
  };
  const std::string vocab = dir_ / "data/vectors/feature_vocab.json";
  const data::FeatureVocab ids = data::parse_feature_vocab(test::read_file(vocab), vocab);
  for (const data::FieldConfig& field : opened.config().dataset.fields) {
    const std::vector<float> rows = table(field.name);
    std::vector<bool> has_vector(rows.size() / 3);
    const float near = field.freeze_emb ? 0 : 1e-6f;
    data::read_pretrained(field, true, [&](std::string_view word, std::span<const float> vector) {
      const size_t id = static_cast<size_t>(ids.at(field.name).at(std::string(word)));
      has_vector[id] = true;
      for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(rows[3 * id + i], vector[i], near) << field.name << " " << word;
    });
    EXPECT_EQ(std::count(has_vector.begin(), has_vector.end(), true), 17);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (has_vector[i / 3]) continue;
      EXPECT_NEAR(rows[i], 0, field.freeze_emb ? 0 : 1e-3) << field.name << " " << i / 3;
    }
  }
  const std::vector<float> frozen = table("item_list");
  EXPECT_THAT(std::vector<float>(frozen.begin() + 30, frozen.begin() + 33), ElementsAre(-0.675f, -0.738f, 0.55f))
      << "i9";
  EXPECT_THAT(std::vector<float>(frozen.begin() + 69, frozen.begin() + 72), ElementsAre(-0.42f, -0.835f, -0.077f))
      << "i48, which no training row has";
}

TEST_F(PreparedVectors, OfAColumnThatSharesAnEmbeddingAreThoseOfTheOther) {
  const std::string map = dir_ / "data/vectors/feature_map.json";
  std::string text = test::read_file(map);
  const std::string from = "\"max_len\": 4,";
  text.replace(text.find(from), from.size(), from + " \"share_embedding\": \"item_id\",");
  test::put(map, text);
  const data::DatasetConfig dataset = load_experiment(dir_ / "config", "dnn").dataset;
  EXPECT_EQ(dataset.fields[0].pretrained_emb, dir_ / "data/vectors/pretrained_item_id.h5");
  EXPECT_EQ(dataset.fields[1].pretrained_emb, "");
  EXPECT_EQ(dataset.fields[1].share_embedding, "item_id");
}

TEST_F(PreparedVectors, NeedTheIdsOfTheirWords) {
  const std::string vocab = dir_ / "data/vectors/feature_vocab.json";
  const std::string text = test::read_file(vocab);
  fs::remove(vocab);
  EXPECT_THAT(refusal(), testing::HasSubstr("column item_id: the keys of "));
  test::put(vocab, "{\"item_id\": {\"i1\": 1}}");
  EXPECT_THAT(refusal(), testing::HasSubstr("feature_vocab.json: has no id of '__OOV__' for column item_id"));
  test::put(vocab, "{\"item_id\": {\"i1\": 33, \"__OOV__\": 23}}");
  EXPECT_THAT(refusal(), testing::HasSubstr("column item_id: the id of 'i1' is 33, and the column has 33 ids"));
  test::put(vocab, "{\"item_id\": {\"other\": 1, \"__OOV__\": 23}, \"item_list\": {\"__OOV__\": 11}}");
  EXPECT_THAT(refusal(), testing::HasSubstr("none of its keys is a word of column item_id in"));
  test::put(vocab, text);
  EXPECT_EQ(refusal(), "");
}

}  // namespace
}  // namespace kdef
