// Files as FuxiCTR has them: what their keys mean, and that rows become what FuxiCTR makes of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/base/text.h"
#include "data/encode/cache.h"
#include "data/encode/prepare.h"
#include "kdef/config/build.h"
#include "kdef/config/config.h"
#include "kdef/config/keys.h"
#include "kdef/config/yaml_value.h"
#include "kdef/method/ensemble.h"
#include "tests/support/files.h"

namespace kdef {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class FuxiCtr : public testing::Test {
 protected:
  FuxiCtr() { models("model: EKTF"); }

  void models(const std::string& keys) { put("model_config.yaml", "X: {dataset_id: set, " + keys + "}\n"); }
  // The data set's columns, as a flow list, and further keys.
  void columns(const std::string& list, const std::string& keys = "") {
    put("dataset_config.yaml", "set: {label_col: y, train_data: train.csv, feature_cols: [" + list + "]" +
                                   (keys.empty() ? "" : ", ") + keys + "}\n");
  }
  void put(const std::string& name, const std::string& text) { test::put(dir_ / name, text); }
  ExperimentConfig load(const std::vector<std::string>& overrides = {}) {
    return load_experiment(dir_.path(), "X", overrides);
  }
  std::vector<data::FieldConfig> fields() { return load().dataset.fields; }
  std::string refusal(const std::vector<std::string>& overrides = {}) {
    try {
      load(overrides);
    } catch (const InputError& e) {
      return e.what();
    }
    ADD_FAILURE() << "accepted";
    return "";
  }
  std::string refusal_of(const std::string& list) {
    columns(list);
    return refusal();
  }

  test::TemporaryDirectory dir_;
};

TEST_F(FuxiCtr, TheVersionDecidesWhatAColumnMeans) {
  columns("{name: s, type: sequence, encoder: MaskedSumPooling}, {name: n, dtype: int, na_value: 7}, {name: a}");
  const ExperimentConfig second = load();
  EXPECT_EQ(second.dataset.fields[0].pooling, data::Pooling::average);
  EXPECT_EQ(second.dataset.fields[0].splitter, "^");
  EXPECT_TRUE(second.dataset.fields[1].fill_by_type);
  EXPECT_FALSE(second.dataset.fields[1].fill_na.has_value());
  EXPECT_FALSE(second.dataset.fields[2].fill_by_type);
  EXPECT_THAT(second.notes, ElementsAre(HasSubstr("read as FuxiCTR 2 (it has no key that only version 1 reads)")));

  models("model: EKTF, patience: 2, every_x_epochs: 1");
  const ExperimentConfig first = load();
  EXPECT_EQ(first.dataset.fields[0].pooling, data::Pooling::sum);
  EXPECT_EQ(first.dataset.fields[0].splitter, " ");
  EXPECT_FALSE(first.dataset.fields[1].fill_by_type);
  EXPECT_EQ(first.dataset.fields[1].fill_na, "7");
  EXPECT_THAT(first.dataset.fields[2].na_values, testing::Optional(testing::Contains("NaN"))) << "as pandas reads it";
  EXPECT_THAT(first.notes, ElementsAre(HasSubstr("FuxiCTR 1 (version 1 alone reads every_x_epochs or patience)")));
  EXPECT_EQ(first.training.early_stop_patience, 2);

  EXPECT_EQ(load({"fuxictr_version=2"}).dataset.fields[0].pooling, data::Pooling::average);
  EXPECT_THAT(load({"fuxictr_version=2"}).notes, ElementsAre(HasSubstr("(fuxictr_version says so)")));
  EXPECT_THAT(refusal({"fuxictr_version=3"}), HasSubstr("an integer in [1, 2]"));

  // What a run has resolved stays.
  const std::string file = test::put(dir_ / "config.yaml", to_yaml(first));
  EXPECT_EQ(to_yaml(load_resolved(file)), to_yaml(first));
  EXPECT_THAT(load_resolved(file).notes, IsEmpty());
}

TEST_F(FuxiCtr, TheCommandLineDoesNotDecideTheVersion) {
  columns("{name: s, type: sequence}");
  EXPECT_EQ(load({"patience=3"}).dataset.fields[0].splitter, "^");
  models("model: EKTF, patience: 2");
  EXPECT_EQ(load().dataset.fields[0].splitter, " ");
  EXPECT_EQ(load({"early_stop_patience=3"}).dataset.fields[0].splitter, " ");
  EXPECT_EQ(load({"fuxictr_version=2"}).dataset.fields[0].splitter, "^");
}

TEST_F(FuxiCtr, NothingIsSaidWhereNoVersionMatters) {
  columns("{name: a}, {name: n, dtype: int, fill_na: 0}, {name: s, type: sequence, splitter: ' '}");
  EXPECT_THAT(load().notes, IsEmpty());
  columns("{name: n, type: numeric, fill_na: null}");
  EXPECT_FALSE(fields()[0].fill_by_type) << "a missing number is an error where the file says so";
}

TEST_F(FuxiCtr, OldNamesOfKeys) {
  columns("{name: a}", "sep: ';'");
  models("model: EKTF, patience: 3, workers: 3, partition_block_size: -1");
  EXPECT_EQ(load().dataset.separator, ";");
  EXPECT_EQ(load().training.early_stop_patience, 3);
  EXPECT_EQ(load({"early_stop_patience=4"}).training.early_stop_patience, 4);
  models("model: EKTF, patience: 3, early_stop_patience: 2");
  EXPECT_THAT(refusal(), HasSubstr("is another name of patience"));
  models("model: EKTF, ordered_features: null, use_features: null");
  EXPECT_NO_THROW(load());
  for (const config_keys::Alias& alias : config_keys::aliases()) {
    EXPECT_NE(find_row(config_keys::experiment_keys(), alias.key), nullptr) << alias.name;
    EXPECT_EQ(find_row(config_keys::experiment_keys(), alias.name), nullptr) << alias.name;
  }
}

TEST_F(FuxiCtr, OldNamesAreInTheDocumentation) {
  const std::string text = test::read_file(std::string(KDEF_SOURCE_DIR) + "/docs/coming-from-fuxictr.md");
  for (const config_keys::Alias& alias : config_keys::aliases()) {
    EXPECT_THAT(text, HasSubstr(cat("| `", alias.name, "` | `", alias.key, "` |")));
  }
}

TEST_F(FuxiCtr, KeysThatAreTakenAtOneValue) {
  columns("{name: a}");
  models(
      "model: EKTF, every_x_epochs: 1, eval_interval: 1, embedding_dropout: 0.0, debug: False, accumulation_steps: 1");
  EXPECT_THAT(load().ignored, testing::Not(testing::Contains("every_x_epochs")));
  EXPECT_THAT(refusal({"every_x_epochs=2"}), HasSubstr("expected 1 (rows are evaluated after every epoch"));
  EXPECT_THAT(refusal({"embedding_dropout=0.1"}), HasSubstr("expected 0"));
  EXPECT_THAT(refusal({"debug=true"}), HasSubstr("expected false"));
  EXPECT_THAT(load({"feature_config=[{name: a}]"}).ignored, testing::Contains("feature_config"));
}

TEST_F(FuxiCtr, KeysOfOtherNetworksNameThem) {
  columns("{name: a}");
  EXPECT_THAT(refusal({"gru_type=AGRU"}), HasSubstr("FuxiCTR's for DIEN, which this program does not have"));
  for (const char* network : {"APG_DCNv2", "DIN", "DMIN", "PLE", "TWIN"}) {
    EXPECT_THAT(refusal({cat("model=", network)}),
                HasSubstr(cat("'", network, "' is a network of FuxiCTR that this program does not have")));
  }
  models("model: EKTF, gru_type: AGRU");
  EXPECT_THAT(refusal(), HasSubstr("model_config.yaml:1:35: key 'gru_type': this key is FuxiCTR's for DIEN"));
  for (const config_keys::ForeignKeys& foreign : config_keys::foreign_keys()) {
    for (const std::string& key : foreign.keys) {
      EXPECT_EQ(find_row(config_keys::experiment_keys(), key), nullptr)
          << key << " is known; take it out of foreign_keys()";
    }
  }
}

// A setting A.B of a network is the entry B of the map A, in a file, in config.yaml and on the command line.
TEST_F(FuxiCtr, ASettingMayBeAnEntryOfAMap) {
  columns("{name: a}");
  models(
      "model: APG_DeepFM, hidden_units: [8, 8], rank_k: [null, 4], overparam_p: null, hypernet_config: {hidden_units: "
      "[5, 6], dropout_rates: 0.1}");
  const ExperimentConfig c = load();
  const nn::Settings& s = c.model.students.at(0).settings;
  EXPECT_EQ(s.integers("hypernet_config.hidden_units"), (std::vector<int64_t>{5, 6}));
  EXPECT_EQ(s.numbers("hypernet_config.dropout_rates"), (std::vector<double>{0.1}));
  EXPECT_EQ(s.integers("rank_k"), (std::vector<int64_t>{0, 4}));
  EXPECT_THAT(c.ignored, testing::Not(testing::Contains(HasSubstr("hypernet_config"))));
  const std::string yaml = to_yaml(c);
  EXPECT_THAT(yaml, HasSubstr("hypernet_config: {hidden_units: [5, 6], hidden_activations: [relu], "));
  EXPECT_EQ(to_yaml(read_experiment(yaml, "config.yaml")), yaml);

  EXPECT_EQ(
      load({"hypernet_config.hidden_units=[7]"}).model.students.at(0).settings.integers("hypernet_config.hidden_units"),
      (std::vector<int64_t>{7}));
  EXPECT_THAT(refusal({"hypernet_config={hidden_unit: [5]}"}),
              HasSubstr("unknown key 'hypernet_config.hidden_unit'; the nearest known key is 'hidden_units'"));
  EXPECT_THAT(refusal({"hypernet_config={hidden_units: [5, 6], hidden_activations: [relu, relu, relu]}"}),
              HasSubstr("expected one value, or one for each of the"));
  models("model: DNN, hypernet_config: {hidden_units: [5]}");
  EXPECT_THAT(load().ignored, testing::Contains("hypernet_config (DNN does not use it)"));
}

TEST_F(FuxiCtr, TheSourceOfAColumnReachesTheFeatureMap) {
  columns("{name: a, source: user}");
  EXPECT_EQ(load({"model=DNN"}).dataset.fields.at(0).source, "user");
}

TEST_F(FuxiCtr, ModelsHaveFuxiCtrsDefaults) {
  columns("{name: a}");
  EXPECT_EQ(load({"model=EKTF"}).training.epochs, 100);
  EXPECT_EQ(load({"model=DNN"}).training.epochs, 1);
  EXPECT_EQ(load({"model=DNN", "epochs=3"}).training.epochs, 3);
}

TEST_F(FuxiCtr, FilesMayEndInYml) {
  std::filesystem::remove(dir_ / "model_config.yaml");
  std::filesystem::create_directories(dir_ / "model_config");
  put("model_config/one.yml", "X: {dataset_id: set, batch_size: 7}\n");
  put("dataset_config.yml", "set: {label_col: y, train_data: t.csv, feature_cols: [{name: a}]}\n");
  EXPECT_EQ(load().training.batch_size, 7);
}

TEST_F(FuxiCtr, ColumnsThatPreprocessMakes) {
  columns(
      "{name: hour, preprocess: convert_hour}, {name: weekday, preprocess: convert_weekday}, "
      "{name: b, preprocess: copy_from(hour)}, {name: n, dtype: float, preprocess: convert_to_bucket(x)}");
  const std::vector<data::FieldConfig> made = fields();
  EXPECT_FALSE(made[0].is_made());
  EXPECT_EQ(made[1].raw_column(), "hour");
  EXPECT_EQ(made[1].preprocess, data::Preprocess::convert_weekday);
  EXPECT_EQ(made[2].raw_column(), "hour");
  EXPECT_EQ(made[2].preprocess, data::Preprocess::none);
  EXPECT_EQ(made[3].raw_column(), "x");
  const std::string file = test::put(dir_ / "config.yaml", to_yaml(load()));
  EXPECT_EQ(load_resolved(file).dataset.fields[1].raw_column(), "hour");

  EXPECT_THAT(
      refusal_of("{name: b, preprocess: copy_from(a)}, {name: a, preprocess: bucketize_age}"),
      HasSubstr("column 'b' is made from column 'a', which stands below it and so is preprocessed before; list"));
  EXPECT_THAT(refusal_of("{name: b, preprocess: copy_from(a)}, {name: a, fill_na: x}"),
              HasSubstr("and so is filled before; give 'b' the fill_na of 'a', too, or list 'a' above it"));
  columns("{name: b, preprocess: copy_from(a), fill_na: x}, {name: a, fill_na: x}");
  EXPECT_EQ(fields()[0].raw_column(), "a");
  EXPECT_THAT(refusal_of("{name: b, preprocess: copy_from}"), HasSubstr("copy_from(COLUMN)"));
  EXPECT_THAT(refusal_of("{name: b, preprocess: 'hash(a)'}"), HasSubstr("expected one of"));
}

TEST_F(FuxiCtr, AMetaColumnIsNoInputAndNamesGroups) {
  columns("{active: true, name: g, preprocess: copy_from(user), remap: false, type: meta}, {name: user}");
  models("model: EKTF, group_id: g, metrics: [gAUC, AUC]");
  EXPECT_FALSE(fields()[0].active);
  EXPECT_EQ(load().dataset.group, "user");
  EXPECT_FALSE(load().dataset.group_by_id) << "as FuxiCTR, which numbers the values of all parts";
  models("model: EKTF, group_index: user, metrics: [gAUC, AUC]");
  EXPECT_EQ(load().dataset.group, "user");
  EXPECT_TRUE(load().dataset.group_by_id) << "an input column tells groups apart by its ids";
  EXPECT_FALSE(load({"group_by=text"}).dataset.group_by_id);
  const std::string file = test::put(dir_ / "config.yaml", to_yaml(load()));
  EXPECT_TRUE(load_resolved(file).dataset.group_by_id);
  EXPECT_THAT(refusal({"group_by=id", "group_id=elsewhere"}), HasSubstr("key 'group_by': rows are grouped by the ids"));
  columns("{name: user, type: sequence}");
  EXPECT_THAT(refusal(), HasSubstr("an input column that is no sequence"));
}

TEST_F(FuxiCtr, ColumnsOfIds) {
  columns("{name: a, remap: false}");
  EXPECT_FALSE(fields()[0].remap);
  columns("{name: a, remap: false, vocab_size: 9}");
  EXPECT_EQ(fields()[0].id_count, 9);
  EXPECT_THAT(refusal_of("{name: a, vocab_size: 9}"), HasSubstr("is used with remap: false"));
  for (const char* column :
       {"{name: a, type: embedding, pretrain_dim: 9}", "{name: a, dtype: list, type: embedding}"}) {
    EXPECT_THAT(refusal_of(column), AllOf(HasSubstr("pretrained_emb: FILE"), HasSubstr("'Columns of vectors'")))
        << column;
  }
}

TEST_F(FuxiCtr, EncodersAreComparedAndNotEvaluated) {
  const auto pooling = [&](const std::string& encoder) {
    columns("{name: s, type: sequence, feature_encoder: " + encoder + "}");
    return fields()[0].pooling;
  };
  EXPECT_EQ(pooling("[layers.MaskedSumPooling()]"), data::Pooling::sum);
  EXPECT_EQ(pooling("'layers.MaskedAveragePooling()'"), data::Pooling::average);
  columns("{name: s, type: sequence, feature_encoder: null}");
  EXPECT_THAT(refusal(), HasSubstr("a sequence must be pooled"));
  EXPECT_THAT(refusal_of("{name: a, feature_encoder: '__import__(\"os\")'}"), HasSubstr("expected one of"));
  columns("{name: a, feature_encoder: null}");
  EXPECT_NO_THROW(load()) << "a column of one id has none";
}

TEST_F(FuxiCtr, ALinearLayerBehindAnEmbedding) {
  models("model: DNN, embedding_dim: 6");
  columns(
      "{name: s, type: sequence, feature_encoder: ['layers.MaskedSumPooling()', 'nn.Linear(64, 64, bias=False)'], "
      "embedding_dim: 64}, {name: a, feature_encoder: 'nn.Linear(6,6,bias=False)'}, {name: b}");
  const std::vector<data::FieldConfig> all = fields();
  EXPECT_EQ(all[0].pooling, data::Pooling::sum);
  EXPECT_EQ(all[0].linear, 64);
  EXPECT_EQ(all[1].linear, 6);
  EXPECT_EQ(all[2].linear, 0);
  const std::string file = test::put(dir_ / "config.yaml", to_yaml(load()));
  EXPECT_EQ(load_resolved(file).dataset.fields[0].linear, 64);
  EXPECT_EQ(load_resolved(file).dataset.fields[0].pooling, data::Pooling::sum);
  EXPECT_THAT(refusal({"embedding_dim=8"}), HasSubstr("nn.Linear(6, 6) is behind an embedding of 8 columns"));
  for (const char* encoder : {"'nn.Linear(6, 7, bias=False)'", "'nn.Linear(6, 6)'", "'nn.Linear(0, 0, bias=False)'"}) {
    EXPECT_THAT(refusal_of(cat("{name: a, feature_encoder: ", encoder, "}")), HasSubstr("nn.Linear(N, N, bias=False)"));
  }
  EXPECT_THAT(refusal_of("{name: s, type: sequence, feature_encoder: ['nn.Linear(6, 6, bias=False)', "
                         "layers.MaskedSumPooling()]}"),
              HasSubstr("nothing can stand behind nn.Linear"));
  EXPECT_THAT(refusal_of("{name: s, type: sequence, feature_encoder: 'nn.Linear(6, 6, bias=False)'}"),
              HasSubstr("a sequence must be pooled"));
}

TEST_F(FuxiCtr, NetworksOfVersion1) {
  columns("{name: a}");
  const auto flag = [&](const char* key) { return load().model.students.at(0).settings.flag(key); };
  models("model: EDCN, patience: 2");
  EXPECT_TRUE(flag("use_residual"));
  EXPECT_FALSE(flag("use_regulation_module"));
  EXPECT_THAT(load().notes, testing::Contains(HasSubstr("that of FuxiCTR 1: use_regulation_module: false")));
  models("model: EDCN, patience: 2, use_regulation_module: true");
  EXPECT_TRUE(flag("use_regulation_module"));
  models("model: EDCN");
  EXPECT_FALSE(flag("use_residual"));
  EXPECT_TRUE(flag("use_regulation_module"));
  models("model: DESTINE, workers: 2");
  EXPECT_THAT(load().notes,
              testing::Contains(HasSubstr("model DESTINE is that of FuxiCTR 2; version 1 had it with heads")));
  for (const config_keys::NetworkOfVersion1& first : config_keys::networks_of_version_1()) {
    const nn::NetworkType& type = nn::network_type(first.name);
    for (const config_keys::Default& setting : first.settings) EXPECT_NE(type.find_key(setting.name), nullptr);
    EXPECT_NE(first.settings.empty(), std::string(first.otherwise).empty()) << first.name;
  }
}

TEST_F(FuxiCtr, NamesAndFormsOfKeysOfNetworks) {
  columns("{name: a}");
  models("model: FINAL, block_type: 1B, use_field_gate: true");
  EXPECT_EQ(load().model.students.at(0).network, "FinalNet");
  EXPECT_TRUE(load().model.students.at(0).settings.flag("use_feature_gating"));
  models("model: DCN, dnn_hidden_units: null");
  EXPECT_THAT(load().model.students.at(0).settings.integers("dnn_hidden_units"), IsEmpty());
  models("model: DLRM, bottom_mlp_units: null");
  EXPECT_THAT(load().model.students.at(0).settings.integers("bottom_mlp_units"), IsEmpty());
  models("model: FGCNN, kernel_heights: 9, channels: [3, 4]");
  EXPECT_THAT(load().model.students.at(0).settings.integers("kernel_heights"), ElementsAre(9));
}

TEST_F(FuxiCtr, WhatIsToldOfData) {
  columns("{name: a}, {name: w}", "weight_col: w");
  EXPECT_THAT(load().notes,
              testing::Contains(HasSubstr("column w is the weight of the rows (weight_col) and an input")));
  EXPECT_THAT(refusal({"data_format=tfrecord"}), HasSubstr("the records of TensorFlow are not read"));
  EXPECT_TRUE(load().training.shuffle) << "FuxiCTR's default";
  EXPECT_FALSE(load({"label_col={name: y, dtype: float}"}).dataset.label_whole);
  const ExperimentConfig whole = load({"label_col={name: y, dtype: int}"});
  EXPECT_TRUE(whole.dataset.label_whole);
  EXPECT_TRUE(load_resolved(test::put(dir_ / "config.yaml", to_yaml(whole))).dataset.label_whole);
}

TEST_F(FuxiCtr, SpecsReplaceSettingsOfColumns) {
  columns("{name: a}, {name: s, type: sequence}, {name: t, type: sequence}");
  models("feature_specs: [{name: [s, t], feature_encoder: layers.MaskedSumPooling()}, {name: a, embedding_dim: 3}]");
  EXPECT_EQ(fields()[0].embedding_dim, 3);
  EXPECT_EQ(fields()[1].pooling, data::Pooling::sum);
  EXPECT_EQ(fields()[2].pooling, data::Pooling::sum);
  models("feature_specs: [{name: u, embedding_dim: 3}]");
  EXPECT_THAT(refusal(), HasSubstr("the data set has no column 'u'"));
  models("feature_specs: [{name: a, max_len: 3}]");
  EXPECT_THAT(refusal(), HasSubstr("write this key into feature_cols"));
}

TEST_F(FuxiCtr, UsedFeaturesInTheirOrder) {
  columns("{name: a}, {name: b}, {name: c}, {name: s, share_embedding: b}");
  models("use_features: [c, a]");
  std::vector<std::string> active;
  for (const data::FieldConfig& field : fields()) {
    if (field.active) active.push_back(field.name);
  }
  EXPECT_THAT(active, ElementsAre("c", "a"));
  models("ordered_features: [b]");
  EXPECT_THAT(refusal(), HasSubstr("column 's' and a column that is used share an embedding"));
  models("use_features: []");
  EXPECT_EQ(load().dataset.fields.size(), 4u);
  EXPECT_TRUE(fields()[0].active) << "as without the key";
}

TEST_F(FuxiCtr, AColumnOfGroupsMayBeAmongTheUsedOnes) {
  columns("{name: a}, {name: g, type: meta}", "group_id: g");
  models("use_features: [a, g], metrics: [gAUC]");
  EXPECT_TRUE(fields()[0].active);
  EXPECT_FALSE(fields()[1].active);
  models("use_features: [a, a]");
  EXPECT_THAT(refusal(), HasSubstr("column 'a' is named twice"));
  columns("{name: a}, {name: b, active: false}");
  models("use_features: [a, b]");
  EXPECT_THAT(refusal(), HasSubstr("column 'b' is no input, by type: meta or active: false"));
}

TEST_F(FuxiCtr, AColumnThatSharesAnEmbeddingHasItsDimension) {
  columns("{name: a}, {name: s, share_embedding: a, embedding_dim: 3}");
  models("embedding_dim: 4");
  EXPECT_THAT(refusal(), HasSubstr("dataset_config.yaml:"));
  EXPECT_THAT(refusal(), HasSubstr("shares the embedding of column 'a', whose embedding_dim is 4, not 3"));
  models("embedding_dim: 3");
  EXPECT_EQ(fields()[1].embedding_dim, 3);
}

TEST_F(FuxiCtr, TheLengthThatLongCtrsLoaderReadsIsRefused) {
  columns("{name: a}");
  models("max_len: 50");
  EXPECT_THAT(refusal(), HasSubstr("key 'max_len': is a key of the loader of FuxiCTR's LongCTR"));
  models("max_len: null, buffer_size: 100");
  EXPECT_THAT(load().ignored, Contains("buffer_size"));
}

TEST_F(FuxiCtr, TheTypesOfAColumnAreListedWhereOneIsUnknown) {
  columns("{name: a, type: number}");
  models("");
  EXPECT_THAT(refusal(), HasSubstr("expected one of categorical, sequence, numeric, meta"));
}

// FuxiCTR compares 0 with '0' there, so that the word gets an id.
TEST_F(FuxiCtr, ANumberThatFillsAColumnOfTextsIsRefused) {
  EXPECT_THAT(refusal_of("{name: a, dtype: str, fill_na: 0}"), HasSubstr("write '0' in quotes"));
  EXPECT_THAT(refusal_of("{name: a, type: sequence, splitter: ^, fill_na: -1.5}"), HasSubstr("write '-1.5' in quotes"));
  columns("{name: a, fill_na: '0'}, {name: b, dtype: int, fill_na: 0}, {name: c, fill_na: none}");
  EXPECT_EQ(fields()[0].fill_na, "0");
}

TEST_F(FuxiCtr, AdamWOfFuxiCtrIsAnotherRule) {
  columns("{name: a}");
  EXPECT_THAT(refusal({"optimizer=AdamW"}), HasSubstr("write adamw"));
  EXPECT_EQ(load({"optimizer=adamw"}).training.optimizer.kind, nn::OptimizerKind::adamw);
}

TEST_F(FuxiCtr, KeysOfLabels) {
  columns("{name: a}");
  EXPECT_NO_THROW(load({"label_col={name: y, active: true, fill_na: null}"}));
  EXPECT_THAT(refusal({"label_col={name: y, fill_na: 0}"}), HasSubstr("labels are read as they are"));
  EXPECT_THAT(refusal({"label_col={name: y, active: false}"}), HasSubstr("not active"));
  EXPECT_NO_THROW(load({"task=regression", "loss=mse_loss", "objective=none", "ensemble=mean"}));
}

TEST_F(FuxiCtr, KeysOfColumnsThatAreNotSupported) {
  EXPECT_THAT(refusal_of("{name: a, category_processor: hash_bucket}"), HasSubstr("FuxiCTR cannot encode"));
}

TEST_F(FuxiCtr, PretrainedTablesOfColumns) {
  columns(
      "{name: a, pretrained_emb: emb.npz, embedding_dim: 7}, {name: b, pretrained_emb: null, pretrain_dim: 5}, "
      "{name: c, pretrained_emb: emb.npz, pretrain_dim: 5, freeze_emb: false, pretrain_usage: concat}");
  const data::FieldConfig a = fields()[0], b = fields()[1], c = fields()[2];
  EXPECT_EQ(a.pretrained_emb, "emb.npz");
  EXPECT_EQ(a.pretrain_dim, 7) << "that of the embedding";
  EXPECT_TRUE(a.freeze_emb);
  EXPECT_EQ(a.pretrain_usage, data::PretrainUsage::init);
  EXPECT_EQ(b.pretrain_dim, 0) << "there is no table";
  EXPECT_EQ(c.pretrain_dim, 5);
  EXPECT_FALSE(c.freeze_emb);
  EXPECT_EQ(c.pretrain_usage, data::PretrainUsage::concat);
  EXPECT_THAT(refusal_of("{name: a, pretrained_emb: emb.npz, pretrain_usage: mean}"), HasSubstr("init, sum, concat"));
}

TEST_F(FuxiCtr, RowsOfTheTrainingFileBecomeTheOthers) {
  columns("{name: a}",
          "valid_data: v.csv, test_data: t.csv, valid_size: 0.1, test_size: 2, split_type: random, split_seed: 7");
  const data::DatasetConfig d = load().dataset;
  EXPECT_EQ(d.valid_size, 0.1);
  EXPECT_EQ(d.test_size, 2);
  EXPECT_EQ(d.split_type, data::SplitType::random);
  EXPECT_EQ(d.valid_data + d.test_data, "") << "FuxiCTR does not use them either";
  EXPECT_THAT(load().ignored, testing::Contains("valid_data (valid_size takes these rows from train_data)"));
  const std::string file = test::put(dir_ / "config.yaml", to_yaml(load({"split_type=sequential", "split_by=time"})));
  EXPECT_EQ(load_resolved(file).dataset.split_by, "time");
  EXPECT_EQ(load_resolved(file).dataset.split_seed, 7);
  EXPECT_EQ(load_resolved(file).dataset.valid_size, 0.1);
  EXPECT_THAT(refusal({"valid_size=1.5"}), HasSubstr("a fraction below 1, or a number of rows"));
}

// ---- Rows as FuxiCTR's own preprocessing encodes them (tests/fixtures/README.md).

std::vector<std::vector<std::string>> rows_of(const std::string& path) {
  std::vector<std::vector<std::string>> rows;
  for (const std::string& line : split(test::read_file(path), '\n')) {
    if (!line.empty()) rows.push_back(split(line, ','));
  }
  return rows;
}

class FuxiCtrForms : public FuxiCtr, public testing::WithParamInterface<const char*> {
 protected:
  FuxiCtrForms() : folder_(cat(KDEF_SOURCE_DIR, "/tests/fixtures/fuxictr/", GetParam(), "/")) {
    for (const auto& file : std::filesystem::directory_iterator(folder_)) {
      const std::string name = file.path().filename().string();
      if (name == "dataset_config.yaml" || name.ends_with(".h5")) put(name, test::read_file(folder_ + name));
    }
  }
  ExperimentConfig load_form() {
    return load({"train_data=" + folder_ + "train.csv", "valid_data=" + folder_ + "valid.csv"});
  }

  const std::string folder_;
};

// FuxiCTR numbers the words of columns of numbers by their value, this program by their counts: such ids must be the
// same up to the numbering. Those of texts must be the same.
class SameIds {
 public:
  SameIds(int64_t vocab_size, bool is_text) : is_text_(is_text) {
    for (const int64_t fixed : {int64_t{0}, vocab_size - 1}) expect(fixed, fixed);
  }
  void expect(int64_t ours, int64_t theirs) {
    if (is_text_) {
      EXPECT_EQ(ours, theirs);
      return;
    }
    EXPECT_EQ(to_.emplace(ours, theirs).first->second, theirs);
    EXPECT_EQ(back_.emplace(theirs, ours).first->second, ours);
  }

 private:
  bool is_text_;
  std::map<int64_t, int64_t> to_, back_;
};

TEST_P(FuxiCtrForms, RowsAreEncodedAsByFuxiCtr) {
  put("model_config.yaml", cat("X: {model: DNN, embedding_dim: 4, dataset_id: ", GetParam(), "}\n"));
  const data::DatasetConfig config = load_form().dataset;
  const data::Prepared prepared = data::prepare(config, dir_ / "cache");
  const auto sizes = rows_of(folder_ + "vocab_sizes.csv");
  ASSERT_EQ(prepared.map.fields.size() + 1, sizes.size());
  std::vector<SameIds> same;
  for (size_t f = 0; f < prepared.map.fields.size(); ++f) {
    const data::Field& field = prepared.map.fields[f];
    EXPECT_EQ(field.name, sizes[f + 1][0]);
    EXPECT_EQ(cat(field.vocab_size), sizes[f + 1][1]) << field.name;
    EXPECT_EQ(cat(field.max_len), sizes[f + 1][2]) << field.name;
    const auto column =
        std::find_if(config.fields.begin(), config.fields.end(), [&](const auto& c) { return c.name == field.name; });
    const bool gives_numbers = column->cell != data::CellType::str ||
                               column->preprocess == data::Preprocess::convert_hour ||
                               column->preprocess == data::Preprocess::convert_weekday ||
                               column->preprocess == data::Preprocess::convert_weekend;
    same.emplace_back(field.vocab_size, !gives_numbers);
  }
  for (const std::string part : {"train", "valid"}) {
    const data::EncodedFile file(part == "train" ? data::train_file(dir_ / "cache") : data::valid_file(dir_ / "cache"));
    const auto expected = rows_of(folder_ + part + "_ids.csv");
    ASSERT_EQ(file.rows() + 1, static_cast<int64_t>(expected.size()));
    for (int64_t row = 0; row < file.rows(); ++row) {
      const int32_t* id = file.ids(row);
      const float* number = file.numerics(row);
      for (size_t f = 0; f < same.size(); ++f) {
        const std::string& cell = expected[static_cast<size_t>(row) + 1][f];
        SCOPED_TRACE(cat(part, " row ", row, " ", prepared.map.fields[f].name, " ", cell));
        if (prepared.map.fields[f].type == data::FieldType::numeric) {
          double value = 0;
          ASSERT_TRUE(read_number(cell, value));
          EXPECT_EQ(*number++, static_cast<float>(value));
          continue;
        }
        for (const std::string& theirs : split(cell, '^')) {
          int64_t value = 0;
          ASSERT_TRUE(read_number(theirs, value));
          same[f].expect(*id++, value);
        }
      }
    }
  }
}

TEST_P(FuxiCtrForms, ModelsHaveTheParametersOfFuxiCtr) {
  std::optional<data::FeatureMap> map;
  for (const YamlValue::Entry& model : load_yaml_file(folder_ + "parameters.yaml").map()) {
    SCOPED_TRACE(model.name);
    const YAML::Node node = model.value.node();
    YAML::Node experiment = YAML::Clone(node["settings"]), file;
    experiment["model"] = model.name;
    experiment["dataset_id"] = std::string(GetParam());
    file["X"] = experiment;
    put("model_config.yaml", YAML::Dump(file) + "\n");
    const ExperimentConfig config = load_form();
    if (!map) map = data::prepare(config.dataset, dir_ / "cache").map;
    nn::Builder build(1);
    const Ensemble ensemble(config.model, embedding_fields(*map), build);
    int64_t parameters = 0;
    for (const nn::Parameter& p : ensemble.parameters()) parameters += p.tensor.numel();
    EXPECT_EQ(parameters, node["parameters"].as<int64_t>());
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, FuxiCtrForms,
                         testing::Values("criteo", "criteo_x1", "avazu", "avazu_x1", "kkbox", "video", "frappe",
                                         "movielens", "tiny", "amazonelectronics", "taobaoad", "linear", "kuaivideo",
                                         "microvideo", "vectors"),
                         [](const auto& form) { return std::string(form.param); });

// Every folder of a form is replayed.
TEST(FuxiCtrFixtures, EveryFormIsAboveInTheList) {
  int forms = 0;
  const std::string folder = std::string(KDEF_SOURCE_DIR) + "/tests/fixtures/fuxictr";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    forms += std::filesystem::exists(entry.path() / "vocab_sizes.csv");
  }
  EXPECT_EQ(forms, 15);
}

}  // namespace
}  // namespace kdef
