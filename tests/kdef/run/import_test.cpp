// Weights of FuxiCTR's classes, trained by FuxiCTR, predict here what they predicted there, and go back unchanged.
// tests/fixtures/exchange is written by bench/pytorch/exchange.py --record.
#include "kdef/run/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>
#include <sstream>

#include "core/io/safetensors.h"
#include "kdef/method/state_dict.h"
#include "kdef/run/export.h"
#include "kdef/run/feature_vocab.h"
#include "kdef/run/record.h"
#include "kdef/run/run.h"
#include "tests/data/npz.h"
#include "tests/kdef/support.h"
#include "tests/support/files.h"

namespace kdef {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kFolder = std::string(KDEF_SOURCE_DIR) + "/tests/fixtures/exchange";

// The ids of FuxiCTR's vocabularies: words of equal counts stand in another order than here.
const std::string kWords = kFolder + "/feature_vocab.json";

std::vector<std::string> recorded() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(kFolder)) {
    if (file.path().extension() == ".safetensors") names.push_back(file.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

ExperimentConfig experiment(const std::string& name, const std::string& cache, std::vector<std::string> keys = {}) {
  keys.push_back("data_root=" + cache);
  return load_experiment(kFolder, name, keys);
}

std::vector<float> predictions(const std::string& run, const std::string& file) {
  const kdef::Run opened(run);
  data::RawFile rows(opened.encoder(), file, true);
  std::vector<float> all;
  data::Batch batch;
  while (rows.next(batch, 64)) {
    const auto input = model_input(batch, opened.encoder().id_columns(), opened.encoder().numeric_columns());
    const Probabilities p = predict(opened.model(), input);
    all.insert(all.end(), p.ensemble.begin(), p.ensemble.end());
  }
  return all;
}

std::string refusal(const ExperimentConfig& config, const std::string& weights, const std::string& out,
                    const std::string& words = kWords) {
  try {
    import_weights(config, weights, words, out);
  } catch (const InputError& e) {
    EXPECT_FALSE(std::filesystem::exists(out)) << "something was written";
    return e.what();
  }
  return "";
}

class OfFuxiCtr : public testing::TestWithParam<std::string> {};

TEST_P(OfFuxiCtr, PredictsTheSameAndGoesBackUnchanged) {
  const test::TemporaryDirectory place;
  const std::string weights = kFolder + "/" + GetParam() + ".safetensors", run = place / "run";
  const Imported imported = import_weights(experiment(GetParam(), place / "cache"), weights, kWords, run);
  EXPECT_EQ(read_run(run).parameters, imported.parameters);
  EXPECT_EQ(read_run(run).imported, weights);

  const std::vector<float> ours = predictions(run, kFolder + "/test.csv");
  std::istringstream theirs(test::read_file(kFolder + "/" + GetParam() + ".txt"));
  for (const float p : ours) {
    float want = 0;
    ASSERT_TRUE(theirs >> want);
    EXPECT_NEAR(p, want, 2e-6);
  }
  EXPECT_EQ(ours.size(), 100u);

  export_state_dict(run, "best", kWords, place / "back.safetensors");
  const SafetensorsFile before(weights), after(place / "back.safetensors");
  for (const std::string& name : after.names()) {
    ASSERT_TRUE(before.has(name)) << name;
    EXPECT_EQ(after.shape(name), before.shape(name)) << name;
    EXPECT_EQ(after.dtype(name), before.dtype(name)) << name;
    if (is_constant_in_fuxictr(name)) continue;
    EXPECT_EQ(after.read(name).to_vector<float>(), before.read(name).to_vector<float>()) << name;
  }
  for (const std::string& name : before.names()) EXPECT_TRUE(after.has(name) || is_constant_in_fuxictr(name)) << name;
}
INSTANTIATE_TEST_SUITE_P(Recorded, OfFuxiCtr, testing::ValuesIn(recorded()),
                         [](const auto& test) { return test.param; });

TEST(Import, RefusesWeightsOfAnotherModel) {
  const test::TemporaryDirectory place;
  const std::string weights = kFolder + "/DeepFM.safetensors", out = place / "run", cache = place / "cache";
  EXPECT_THAT(refusal(experiment("PNN", cache), weights, out), HasSubstr("has no tensor 'dnn.mlp.0.weight'"));
  EXPECT_THAT(refusal(experiment("DeepFM", cache, {"hidden_units=[8, 7]"}), weights, out),
              HasSubstr("tensor 'mlp.mlp.4.weight' is f32 [6, 8], this experiment needs f32 [7, 8]"));
  const ExperimentConfig other_words = experiment("DeepFM", cache, {"min_categr_count=40"});
  EXPECT_THAT(refusal(other_words, weights, out), HasSubstr("with the same min_categr_count"));
  EXPECT_THAT(refusal(other_words, weights, out, ""), HasSubstr("rows are the vocabulary of the training data"));
}

TEST(Import, RefusesATensorThatTheModelDoesNotHaveAndValuesThatAreNoNumbers) {
  const test::TemporaryDirectory place;
  const SafetensorsFile file(kFolder + "/DeepFM.safetensors");
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.read(name));
  tensors.emplace_back("mlp.mlp.9.weight", Tensor::zeros({1}));
  write_safetensors(place / "more.safetensors", tensors, {});
  const ExperimentConfig config = experiment("DeepFM", place / "cache");
  EXPECT_THAT(refusal(config, place / "more.safetensors", place / "run"),
              HasSubstr("tensor 'mlp.mlp.9.weight' is not part of this experiment's model"));
  tensors.pop_back();
  for (auto& [name, tensor] : tensors) {
    if (name == "mlp.mlp.0.bias") tensor.data<float>()[1] = NAN;
  }
  write_safetensors(place / "nan.safetensors", tensors, {});
  EXPECT_THAT(refusal(config, place / "nan.safetensors", place / "run"),
              HasSubstr("tensor 'mlp.mlp.0.bias' has a value that is no number"));
}

TEST(Import, RowsOfTablesAreFoundByTheirWords) {
  const test::TemporaryDirectory place;
  const std::string weights = kFolder + "/DeepFM.safetensors", run = place / "run";
  const auto warnings = [&](const std::string& words, const std::string& out) {
    return import_weights(experiment("DeepFM", place / "cache"), weights, words, out).warnings;
  };
  EXPECT_THAT(warnings(kWords, run), IsEmpty());
  EXPECT_THAT(warnings("", place / "by_count"), ElementsAre(HasSubstr("give --vocabulary feature_vocab.json")));
  const kdef::Run opened(run);
  const data::Encoder& encoder = opened.encoder();
  const FeatureVocab theirs = parse_feature_vocab(test::read_file(kWords), kWords);
  const SafetensorsFile before(weights), after(run + "/model.safetensors");
  const std::string hour = "embedding_layer.embedding_layer.embedding_layers.hour.weight";
  const std::vector<float> there = before.read(hour).to_vector<float>(), here = after.read(hour).to_vector<float>();
  bool moved = false;
  for (const data::Encoder::Column& column : encoder.columns()) {
    if (column.cells.field().name != "hour") continue;
    for (const auto& [word, id] : theirs.at("hour")) {
      const bool special = word == "__PAD__" || word == "__OOV__";
      const int64_t row = special ? id : column.vocabulary->id(word);
      moved |= row != id;
      for (int64_t d = 0; d < 4; ++d) {
        EXPECT_EQ(here[static_cast<size_t>(row * 4 + d)], there[static_cast<size_t>(id * 4 + d)]) << word;
      }
    }
  }
  EXPECT_TRUE(moved) << "the vocabularies have one order, and show nothing";

  const auto refused = [&](const std::string& from, const std::string& to) {
    std::string text = test::read_file(kWords);
    text.replace(text.find(from), from.size(), to);
    try {
      RowOrder(parse_feature_vocab(text, "words.json"), encoder, "words.json");
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(refused("\"h7\"", "\"h77\""), HasSubstr("words.json: field 'hour' has no word 'h7'"));
  EXPECT_THAT(refused("\"h7\"", "\"more\": 1, \"h7\""), HasSubstr("has the word 'more'"));
  EXPECT_THAT(refused("\"hour\"", "\"hours\""), HasSubstr("has no field 'hour'"));
  EXPECT_THAT(refused("\"__OOV__\"", "\"__oov__\""), HasSubstr("has no word '__OOV__'"));
  EXPECT_THAT(refused("\"u8\": ", "\"u8\": 9"), HasSubstr("its ids are not 0, 1, 2"));
  EXPECT_THAT(refused("\"u8\": ", "\"u8\": 0.5, \"u\": "), HasSubstr("no whole number"));
  EXPECT_THAT(refused("{", "["), HasSubstr("is no feature_vocab.json"));
}

// A table of pretrained vectors has words behind the unknown ones.
TEST(Import, RowsOfPretrainedWordsAreFound) {
  test::SmallExperiment e{300};
  data::write_npz(e.directory / "table.npz",
                  {{"key", data::npy_bytes("|S6", "(2,)", std::string("1\0\0\0\0\0nobody", 12))},
                   {"value", data::npy<float>("<f4", {1, 2, 3, 4}, 2)}});
  const ExperimentConfig config =
      e.load({"embedding_dim=2", "epochs=1",
              "feature_cols=[{name: user, type: categorical, pretrained_emb: " + (e.directory / "table.npz") + "}]"});
  RunOptions options;
  options.directory = e.directory / "run";
  run_experiment(config, options);
  const kdef::Run run(options.directory);
  const data::Encoder::Column& user = run.encoder().columns()[0];
  const int64_t rows = user.vocabulary->size();
  ASSERT_EQ(user.vocabulary->id("nobody"), rows - 1);
  ASSERT_EQ(user.vocabulary->out_of_vocabulary(), rows - 2);
  // Theirs: the same ids, except that those of two words are exchanged.
  FeatureVocab theirs;
  std::map<std::string, int64_t>& ids = theirs["user"];
  ids = {{"__PAD__", 0}, {"__OOV__", rows - 2}};
  for (int64_t i = 0; i < user.vocabulary->word_count(); ++i) {
    const std::string word(user.vocabulary->word(i));
    ids[word] = user.vocabulary->id(word);
  }
  std::swap(ids["1"], ids["nobody"]);
  std::vector<float> numbers(static_cast<size_t>(rows));
  std::iota(numbers.begin(), numbers.end(), 0.0f);
  const RowOrder order(theirs, run.encoder(), "words.json");
  std::vector<float> expected = numbers;
  std::swap(expected[static_cast<size_t>(user.vocabulary->id("1"))], expected.back());
  EXPECT_EQ(order.to_ours("embedding_layers.user.pretrain_embedding.weight", Tensor::from(numbers, {rows, 1}))
                .to_vector<float>(),
            expected);
}

// A state_dict has the table that two fields share under the names of both.
TEST(StateDict, ASharedTableStandsUnderTheNameOfEachField) {
  using Kind = nn::EmbeddingField::Kind;
  const std::vector<nn::EmbeddingField> fields = {
      {.name = "item", .kind = Kind::id, .vocab_size = 5},
      {.name = "viewed", .kind = Kind::id, .vocab_size = 5, .shared = "item"}};
  EnsembleConfig config;
  config.kind = EnsembleKind::mean;
  config.embedding_dim = 3;
  config.students = {{.network = "FM"}};
  nn::Builder build(1);
  const Ensemble model(config, fields, build);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state_dict(model, fields, 7)) names.push_back(name);
  const std::string tables = "embedding_layer.embedding_layer.embedding_layers.", lr = "fm.lr_layer." + tables;
  // The first-order tables are not shared.
  EXPECT_THAT(names, testing::UnorderedElementsAre(tables + "item.weight", tables + "viewed.weight", "fm.lr_layer.bias",
                                                   lr + "item.weight", lr + "viewed.weight"));
}

TEST(StateDict, ASharedTableOfVectorsStandsUnderTheNameOfEachField) {
  using Kind = nn::EmbeddingField::Kind;
  std::vector<nn::EmbeddingField> fields = {
      {.name = "item", .kind = Kind::id, .vocab_size = 5},
      {.name = "viewed", .kind = Kind::average, .vocab_size = 5, .max_len = 2, .shared = "item"}};
  for (nn::EmbeddingField& field : fields) field.pretrained = {.dim = 2, .frozen = true, .known = 4};
  EnsembleConfig config;
  config.kind = EnsembleKind::mean;
  config.embedding_dim = 3;
  config.students = {{.network = "DNN"}};
  nn::Builder build(1);
  const Ensemble model(config, fields, build);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state_dict(model, fields, 7)) {
    if (!name.starts_with("mlp.")) names.push_back(name);
  }
  const std::string tables = "embedding_layer.embedding_layer.embedding_layers.";
  EXPECT_THAT(names, testing::UnorderedElementsAre(tables + "item.pretrain_embedding.weight",
                                                   tables + "viewed.pretrain_embedding.weight",
                                                   tables + "item.proj.weight", tables + "viewed.proj.weight"));
}

}  // namespace
}  // namespace kdef
