#include "kdef/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "kdef/config/networks_page.h"
#include "nn/networks/registry.h"
#include "tests/support/files.h"

namespace kdef {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Settings as the published experiments write them.
constexpr const char* kModels = R"(Base:
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

Small:
    model: EKTF
    dataset_id: clicks
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
    hidden_units: [400, 300]
    hidden_activations: relu
    net_dropout: 0.1
    batch_norm: True
    epochs: 100
    shuffle: True
    seed: 2024
    monitor: {'AUC': 1, 'logloss': 0}
    monitor_mode: 'max'

Large:
    model: EKTF_L
    dataset_id: clicks
    hidden_units: [64, 32]
    net1_dropout: 0.1
    net2_dropout: 0.2
    net3_dropout: 0.3
    num_cross_layers: 4
)";

constexpr const char* kDatasets = R"(clicks:
    data_format: h5
    data_root: ./cache/
    feature_cols:
    -   active: true
        dtype: float
        fill_na: 0
        na_value: 0
        name: [I1, I2]
        preprocess: convert_to_bucket
        type: categorical
    -   {name: genres, dtype: str, type: sequence, splitter: '^', max_len: 5, encoder: MaskedSumPooling}
    label_col: {dtype: float, name: Label}
    min_categr_count: 10
    train_data: nowhere/train.csv
)";

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() : folder_(fs::temp_directory_path() / ("kdef_config_test_" + std::to_string(getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    write("model_config.yaml", kModels);
    write("dataset_config.yaml", kDatasets);
  }
  ~ConfigTest() override { fs::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  void append(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::app) << text;
  }
  ExperimentConfig load(const std::string& id, const std::vector<std::string>& overrides = {}) {
    return load_experiment(folder_.string(), id, overrides);
  }
  // The message with which loading is refused; fails the test if it is not.
  std::string refusal(const std::string& id, const std::vector<std::string>& overrides = {}) {
    try {
      load(id, overrides);
    } catch (const InputError& e) {
      return e.what();
    }
    ADD_FAILURE() << "accepted";
    return "";
  }
  // Loads an experiment of these lines (indented by four) on the data set.
  std::string refusal_of(const std::string& lines) {
    write("model_config.yaml", "X:\n    dataset_id: clicks\n    " + lines + "\n");
    return refusal("X");
  }

  fs::path folder_;
};

TEST_F(ConfigTest, ReadsThePublishedSettings) {
  const ExperimentConfig c = load("Small");
  EXPECT_EQ(c.id, "Small");
  EXPECT_EQ(c.model_name, "EKTF");
  EXPECT_EQ(c.model.kind, EnsembleKind::kdef);
  ASSERT_EQ(c.model.students.size(), 3u);
  for (const StudentConfig& s : c.model.students) {
    EXPECT_EQ(s.network, "mlp");
    EXPECT_THAT(s.hidden_units, ElementsAre(400, 300));
    EXPECT_THAT(s.hidden_activations, ElementsAre("relu", "relu"));
    EXPECT_THAT(s.dropout, ElementsAre(0.1, 0.1));
    EXPECT_TRUE(s.batch_norm);
  }
  EXPECT_EQ(c.training.optimizer.kind, nn::OptimizerKind::adam);
  EXPECT_EQ(c.training.optimizer.learning_rate, 1e-3);
  EXPECT_EQ(c.training.optimizer.embedding.l2, 1e-5);
  EXPECT_EQ(c.training.optimizer.net.l2, 0);
  EXPECT_EQ(c.training.batch_size, 10000);
  EXPECT_EQ(c.training.eval_steps, 0);
  EXPECT_EQ(c.training.monitor.at("AUC"), 1);
  EXPECT_EQ(c.training.monitor.at("logloss"), 0);
  EXPECT_TRUE(c.training.monitor_max);
  EXPECT_EQ(c.training.optimizer.clip_norm, 10);
  EXPECT_THAT(c.ignored, testing::IsSupersetOf({"num_workers", "verbose", "pickle_feature_encoder", "debug_mode",
                                                "feature_cols.encoder", "feature_cols.na_value"}));
}

TEST_F(ConfigTest, ExpandsLists_OfColumnNames) {
  const data::DatasetConfig d = load("Small").dataset;
  EXPECT_EQ(d.id, "clicks");
  EXPECT_EQ(d.label, "Label");
  EXPECT_EQ(d.min_categr_count, 10);
  ASSERT_EQ(d.fields.size(), 3u);
  EXPECT_EQ(d.fields[0].name, "I1");
  EXPECT_EQ(d.fields[1].name, "I2");
  EXPECT_EQ(d.fields[1].cell, data::CellType::real);
  EXPECT_EQ(d.fields[1].fill_na, "0");
  EXPECT_EQ(d.fields[1].preprocess, data::Preprocess::convert_to_bucket);
  EXPECT_THAT(d.fields[1].where, HasSubstr("dataset_config.yaml:5:"));
  EXPECT_EQ(d.fields[2].type, data::FieldType::sequence);
  EXPECT_EQ(d.fields[2].pooling, data::Pooling::average);  // `encoder` has no effect
  EXPECT_EQ(d.fields[2].max_len, 5);
  EXPECT_FALSE(d.fields[2].fill_na.has_value());
}

TEST_F(ConfigTest, LargeModelHasThreeNetworksWithTheirOwnDropout) {
  const ExperimentConfig c = load("Large");
  ASSERT_EQ(c.model.students.size(), 3u);
  EXPECT_EQ(c.model.students[0].network, "product");
  EXPECT_THAT(c.model.students[0].dropout, ElementsAre(0.1, 0.1));
  EXPECT_EQ(c.model.students[1].network, "kdef_finalnet");
  EXPECT_THAT(c.model.students[1].dropout, ElementsAre(0.2, 0.2));
  EXPECT_EQ(c.model.students[2].network, "exponential_cross");
  EXPECT_THAT(c.model.students[2].dropout, ElementsAre(0.3, 0.3, 0.3, 0.3));
  EXPECT_TRUE(c.model.students[2].hidden_units.empty());
  EXPECT_THAT(refusal("Large", {"num_student=2"}), HasSubstr("has 3 students"));
}

TEST_F(ConfigTest, ModelNames) {
  const auto kind = [&](const char* model) { return load("Small", {std::string("model=") + model}).model.kind; };
  EXPECT_EQ(kind("MLPs_mean"), EnsembleKind::mean);
  EXPECT_EQ(kind("MLP_mean"), EnsembleKind::mean);
  EXPECT_EQ(kind("MLPs_sum"), EnsembleKind::sum);
  EXPECT_EQ(kind("MLPs_concat"), EnsembleKind::concat);
  EXPECT_EQ(load("Small", {"model=MLP", "num_student=1"}).model.students.size(), 1u);
  EXPECT_THAT(refusal("Small", {"model=MLP"}), HasSubstr("MLP is one network"));
  EXPECT_EQ(load("Small", {"model=EKTF", "ensemble=sum"}).model.kind, EnsembleKind::sum);
  EXPECT_THAT(refusal("Small", {"model=EKFT"}), HasSubstr("expected one of KDEF, EKTF, "));
}

// objective, ensemble and the model's name decide together.
TEST_F(ConfigTest, ObjectiveAndEnsemble) {
  const auto kind = [&](std::vector<std::string> overrides) {
    return std::string(name_of(load("Small", overrides).model.kind));
  };
  for (const char* name : {"kdef", "final", "self_ensemble", "tri_bce"}) {
    const std::string objective = cat("objective=", name);
    EXPECT_EQ(kind({objective}), name);
    EXPECT_EQ(kind({objective, "ensemble=mean"}), name);
    EXPECT_EQ(kind({objective, "model=MLPs_sum"}), name) << "the key counts more than the model's name";
    EXPECT_THAT(refusal("Small", {objective, "ensemble=sum"}),
                HasSubstr("trains the mean of the students, and ensemble is sum; set ensemble to mean"));
  }
  EXPECT_EQ(kind({"ensemble=kdef"}), "kdef");
  EXPECT_EQ(kind({"ensemble=mean"}), "mean");
  EXPECT_EQ(kind({"objective=none"}), "mean");
  EXPECT_EQ(kind({"objective=none", "model=MLPs_sum"}), "sum");
  EXPECT_EQ(kind({"objective=none", "ensemble=concat"}), "concat");
  EXPECT_EQ(kind({"objective=null", "ensemble=null"}), "kdef");
  EXPECT_THAT(refusal("Small", {"objective=none", "ensemble=kdef"}), HasSubstr("set ensemble to mean, sum or concat"));
  EXPECT_THAT(refusal("Small", {"objective=final", "ensemble=kdef"}), HasSubstr("ensemble is kdef"));
  EXPECT_THAT(refusal("Small", {"objective=finale"}), HasSubstr("self_ensemble, tri_bce, none"));
  for (const EnsembleType& type : ensemble_types()) {
    const ExperimentConfig c = load("Small", overrides_for(type.kind));
    EXPECT_EQ(c.model.kind, type.kind);
    write("run/config.yaml", to_yaml(c));
    EXPECT_EQ(load_resolved((folder_ / "run/config.yaml").string()).model.kind, type.kind);
  }
}

TEST_F(ConfigTest, TheObjectiveSaysWhatItDoesNotUseAndNeeds) {
  EXPECT_THAT(load("Small", {"objective=final", "teach=false", "peer=true"}).ignored,
              testing::AllOf(testing::Contains("teach (only objective kdef has it)"),
                             testing::Not(testing::Contains(HasSubstr("peer")))));
  EXPECT_THAT(load("Small", {"teach=false"}).ignored, testing::Not(testing::Contains(HasSubstr("teach"))));
  const auto notes = [&](std::vector<std::string> overrides) {
    overrides.emplace_back("objective=self_ensemble");
    return load("Small", overrides).notes;
  };
  const auto no_dropout = testing::Contains(HasSubstr("no student has dropout"));
  EXPECT_THAT(notes({}), testing::Not(no_dropout));
  EXPECT_THAT(notes({"net_dropout=0"}), no_dropout);
  EXPECT_THAT(notes({"model=DCNv2", "num_student=1", "net_dropout=0.1"}), testing::Not(no_dropout));
  EXPECT_THAT(notes({"model=DCNv2", "num_student=1", "net_dropout=0"}), no_dropout);
}

// `objective` chose between fused ops and their twins once; runs of that time are read.
TEST_F(ConfigTest, TheFormerValuesOfObjective) {
  const ExperimentConfig c = load("Small", {"objective=composed"});
  EXPECT_EQ(c.model.kind, EnsembleKind::kdef);
  EXPECT_FALSE(c.model.fused);
  EXPECT_THAT(c.notes, testing::Contains("objective: composed is written fused: false today"));
  EXPECT_TRUE(load("Small", {"objective=fused", "ensemble=sum"}).model.fused);
  EXPECT_EQ(load("Small", {"objective=fused", "ensemble=sum"}).model.kind, EnsembleKind::sum);
}

TEST_F(ConfigTest, StudentsInheritTopLevelSettings) {
  append("model_config.yaml", R"(
Mixed:
    model: KDEF
    dataset_id: clicks
    hidden_units: [8, 4]
    net_dropout: 0.2
    batch_norm: no
    students:
    - {network: mlp, num_student: 2}
    - {network: kdef_dcnv2, hidden_units: [16], dropout: [0.5], num_cross_layers: 2, hidden_activations: [tanh]}
)");
  const ExperimentConfig c = load("Mixed");
  ASSERT_EQ(c.model.students.size(), 3u);
  EXPECT_THAT(c.model.students[1].hidden_units, ElementsAre(8, 4));
  EXPECT_THAT(c.model.students[1].dropout, ElementsAre(0.2, 0.2));
  EXPECT_FALSE(c.model.students[1].batch_norm);
  EXPECT_EQ(c.model.students[2].network, "kdef_dcnv2");
  EXPECT_EQ(c.model.students[2].settings.integer("num_cross_layers"), 2);
  EXPECT_THAT(c.model.students[2].hidden_activations, ElementsAre("tanh"));
  EXPECT_THAT(c.model.students[2].dropout, ElementsAre(0.5));
  EXPECT_EQ(load("Mixed", {"num_student=2"}).model.students.size(), 6u);
  EXPECT_THAT(load("Mixed", {"students.1.dropout=0.25"}).model.students[2].dropout, ElementsAre(0.25));
  EXPECT_THAT(refusal("Mixed", {"students.2.dropout=0"}), HasSubstr("from 0 to 1"));
  EXPECT_THAT(refusal("Mixed", {"students.1.network=mlp", "students.1.dropout=[0.1, 0.1]"}),
              HasSubstr("each of the 1 layers, found 2"));
}

// Keys of single kinds of networks: each student takes those that its network has.
TEST_F(ConfigTest, KeysOfSingleNetworks) {
  append("model_config.yaml", R"(
Own:
    model: KDEF
    dataset_id: clicks
    num_heads: 4
    cin_units: [9]
    logarithmic_neurons: 7
    students:
    - {network: mlp}
    - {network: kdef_autoint, attention_dim: 16}
    - {network: cin, cin_units: [5, 4]}
)");
  const ExperimentConfig c = load("Own");
  EXPECT_TRUE(c.model.students[0].settings.entries().empty());
  EXPECT_EQ(c.model.students[1].settings.integer("num_heads"), 4);
  EXPECT_EQ(c.model.students[1].settings.integer("attention_dim"), 16);
  EXPECT_EQ(c.model.students[1].settings.integer("attention_layers"), 2);
  EXPECT_THAT(c.model.students[2].settings.integers("cin_units"), ElementsAre(5, 4));
  EXPECT_THAT(c.ignored, testing::Contains("logarithmic_neurons (KDEF does not use it)"));
  EXPECT_THAT(refusal("Own", {"num_heads=0"}), HasSubstr("key 'num_heads': expected"));
  EXPECT_THAT(refusal("Own", {"logarithmic_neurons=many"}), HasSubstr("key 'logarithmic_neurons': expected"))
      << "though no student has it";
  EXPECT_THAT(refusal("Own", {"students.1.num_head=2"}), HasSubstr("the nearest known key is 'num_heads'"));
  EXPECT_THAT(load("Own", {"students.2.cin_units.1=6"}).model.students[2].settings.integers("cin_units"),
              ElementsAre(5, 6));

  const std::string yaml = to_yaml(c);
  EXPECT_THAT(yaml, HasSubstr("cin_units: [5, 4]"));
  EXPECT_THAT(yaml, testing::Not(HasSubstr("logarithmic_neurons"))) << "no student has it";
  write("config.yaml", yaml);
  EXPECT_EQ(to_yaml(load_resolved((folder_ / "config.yaml").string())), yaml);
}

TEST_F(ConfigTest, LaterSettingsWin) {
  write("model_config.yaml",
        "Base: {batch_size: 1, epochs: 1, seed: 1, embedding_dim: 1}\n"
        "X: {dataset_id: clicks, epochs: 2, seed: 2, embedding_dim: 2}\n");
  append("dataset_config.yaml", "    seed: 3\n    embedding_dim: 3\n");
  const ExperimentConfig c = load("X", {"embedding_dim=4"});
  EXPECT_EQ(c.training.optimizer.learning_rate, 1e-3);
  EXPECT_EQ(c.training.batch_size, 1);
  EXPECT_EQ(c.training.epochs, 2);
  EXPECT_EQ(c.training.seed, 3u);
  EXPECT_EQ(c.model.embedding_dim, 4);
}

// As in FuxiCTR, where `metrics` are for the last evaluation.
TEST_F(ConfigTest, AMonitoredMetricNeedNotBeOneOfMetrics) {
  const ExperimentConfig c = load("Small", {"metrics=[logloss]", "monitor=PR_AUC"});
  EXPECT_THAT(c.training.metrics, Contains(*find_metric("PR_AUC")));
  EXPECT_THAT(load("Small", {"metrics=[logloss]"}).training.metrics, Not(Contains(*find_metric("PR_AUC"))));
}

TEST_F(ConfigTest, OverridesAreYamlAndReachInside) {
  const ExperimentConfig c = load("Small", {"monitor.logloss=-1", "hidden_units=[5, 6]", "net_dropout=[0, 0.5]",
                                            "learning_rate=1e-2", "feature_cols.1.max_len=7", "label_col.name=click",
                                            "eval_steps=10", "embedding_regularizer=l1_l2(1e-6, 0.5)"});
  EXPECT_EQ(c.training.monitor.at("AUC"), 1);
  EXPECT_EQ(c.training.monitor.at("logloss"), -1);
  EXPECT_THAT(c.model.students[0].hidden_units, ElementsAre(5, 6));
  EXPECT_THAT(c.model.students[0].dropout, ElementsAre(0, 0.5));
  EXPECT_EQ(c.training.optimizer.learning_rate, 0.01);
  EXPECT_EQ(c.dataset.fields[2].max_len, 7);
  EXPECT_EQ(c.dataset.label, "click");
  EXPECT_EQ(c.training.eval_steps, 10);
  EXPECT_EQ(c.training.optimizer.embedding.l1, 1e-6);
  EXPECT_EQ(c.training.optimizer.embedding.l2, 0.5);
  EXPECT_EQ(load("Large", {"monitor.logloss=-1"}).training.monitor.at("AUC"), 1);  // inside a default
  EXPECT_THAT(
      refusal("Small", {"hidden_unit=[1]"}),
      testing::AllOf(HasSubstr("command line"), HasSubstr("unknown key 'hidden_unit'"), HasSubstr("'hidden_units'")));
  EXPECT_THAT(refusal("Small", {"batch_size"}), HasSubstr("KEY=VALUE"));
  EXPECT_THAT(refusal("Small", {"hidden_units=[1"}), HasSubstr("not valid YAML"));
  EXPECT_THAT(refusal("Small", {"batch_size.x=1"}), HasSubstr("neither a map nor a list"));
}

TEST_F(ConfigTest, ConfigurationMayBeAFolderOfFiles) {
  fs::remove(folder_ / "model_config.yaml");
  fs::remove(folder_ / "dataset_config.yaml");
  write("model_config/a.yaml", "Base: {batch_size: 7}\nA: {dataset_id: clicks}\n");
  write("model_config/b.yaml", "Base: {batch_size: 8}\nB: {dataset_id: clicks}\n");
  write("dataset_config/d.yaml", kDatasets);
  EXPECT_EQ(load("A").training.batch_size, 7);
  EXPECT_EQ(load("B").training.batch_size, 8);  // the Base beside it
}

TEST_F(ConfigTest, RelativePathsFallBackToTheConfigurationDirectory) {
  EXPECT_EQ(load("Small").dataset.train_data, "nowhere/train.csv");
  write("nowhere/train.csv", "");
  EXPECT_EQ(load("Small").dataset.train_data, (folder_ / "nowhere/train.csv").string());
  EXPECT_EQ(load("Small").dataset.data_root, "./cache/");
}

TEST_F(ConfigTest, ActivationsAreNamedInAnyCase) {
  const auto activations = [&](const std::string& value) {
    return load("Small", {"hidden_units=[4,4]", "hidden_activations=" + value}).model.students[0].hidden_activations;
  };
  EXPECT_THAT(activations("dice"), ElementsAre("Dice", "Dice"));
  EXPECT_THAT(activations("[PReLU, gelu]"), ElementsAre("PReLU", "GELU"));
  EXPECT_THAT(activations("[silu, null]"), ElementsAre("SiLU", "none"));
  EXPECT_THAT(refusal("Small", {"hidden_activations=leaky_relu"}), HasSubstr("did you mean 'LeakyReLU'?"));
}

TEST_F(ConfigTest, MissingExperimentListsTheOthersNearestFirst) {
  EXPECT_THAT(refusal("Lage"), HasSubstr("there are: Large, Small"));
  EXPECT_THAT(refusal("Base"), HasSubstr("there are: "));
  EXPECT_THAT(refusal("Small", {"dataset_id=click"}), HasSubstr("there are: clicks"));
  fs::remove(folder_ / "model_config.yaml");
  EXPECT_THAT(refusal("Small"), HasSubstr("neither model_config.yaml nor"));
  EXPECT_THROW(load_experiment((folder_ / "absent").string(), "X"), InputError);
}

TEST_F(ConfigTest, DatasetMayBeMissingWhereItIsNotRequired) {
  fs::remove(folder_ / "dataset_config.yaml");
  EXPECT_THAT(refusal("Small"), HasSubstr("neither dataset_config.yaml nor"));
  EXPECT_EQ(load_experiment(folder_.string(), "Small", {}, false).model.students.size(), 3u);
  write("dataset_config.yaml", "clicks: [");
  EXPECT_THROW(load_experiment(folder_.string(), "Small", {}, false), InputError);
}

TEST_F(ConfigTest, UnknownKeysAreRefusedWithTheNearest) {
  EXPECT_THAT(refusal_of("batchsize: 3"),
              HasSubstr("model_config.yaml:3:5: unknown key 'batchsize'; the nearest known key is 'batch_size'"));
  EXPECT_THAT(refusal_of("students: [{hidden_unit: [3]}]"), HasSubstr("nearest known key is 'hidden_units'"));
  append("dataset_config.yaml", "    feature_cols: []\n");
  EXPECT_THAT(refusal_of("epochs: 3"), HasSubstr("occurs twice"));
  write("dataset_config.yaml", "clicks:\n  train_data: t\n  label_col: y\n  feature_cols: [{nam: a}]\n");
  EXPECT_THAT(refusal_of("epochs: 3"), HasSubstr("dataset_config.yaml:4:19: unknown key 'feature_cols[0].nam'"));
}

TEST_F(ConfigTest, UnknownKeysAreComparedByMeaning) {
  const auto nearest = [&](const std::string& key) { return refusal_of(key + ": 3"); };
  EXPECT_THAT(nearest("lr"), HasSubstr("nearest known key is 'learning_rate'"));
  EXPECT_THAT(nearest("zzz_qqqqqq"), HasSubstr("unknown key 'zzz_qqqqqq'; kdef train --keys lists"));
  EXPECT_THAT(nearest("\"see\\u0501\""), HasSubstr("(spelt 'see' U+0501); the nearest known key is 'seed'"));
}

// A class of FuxiCTR: alone as `model`, or as `network`, with its keys and the defaults of the class.
TEST_F(ConfigTest, NamesOfFuxiCtrHaveItsKeysAndDefaults) {
  append("model_config.yaml", R"(
Cross:
    model: DCNv2
    dataset_id: clicks
    model_structure: stacked_parallel
    stacked_dnn_hidden_units: [8, 4]
    parallel_dnn_hidden_units: [16]
    dnn_activations: [ReLU]
    net_dropout: 0.2
    regularizer: l1_l2(1.e-6, 0.5)
Students:
    model: KDEF
    dataset_id: clicks
    num_student: 2
    network: DeepFM
    hidden_units: [7]
)");
  const ExperimentConfig c = load("Cross");
  ASSERT_EQ(c.model.students.size(), 1u);
  EXPECT_EQ(c.model.kind, EnsembleKind::mean);
  EXPECT_EQ(c.model.embedding_dim, 10);
  EXPECT_EQ(c.training.optimizer.net.l2, 0.5);
  EXPECT_EQ(c.training.optimizer.embedding.l1, 1e-6);
  const nn::NetworkConfig& cross = c.model.students[0];
  EXPECT_EQ(cross.network, "DCNv2");
  EXPECT_TRUE(cross.hidden_units.empty()) << "a common setting, which FuxiCTR's networks do not have";
  EXPECT_THAT(cross.settings.integers("stacked_dnn_hidden_units"), ElementsAre(8, 4));
  EXPECT_THAT(cross.settings.texts("dnn_activations"), ElementsAre("relu"));
  EXPECT_THAT(cross.settings.numbers("net_dropout"), ElementsAre(0.2));
  EXPECT_FALSE(cross.settings.flag("batch_norm"));
  EXPECT_EQ(cross.settings.integer("num_cross_layers"), 3);
  const std::string yaml = to_yaml(c);
  EXPECT_THAT(yaml, testing::Not(HasSubstr(" hidden_units"))) << "DCNv2 has no such key";
  write("config.yaml", yaml);
  EXPECT_EQ(to_yaml(load_resolved((folder_ / "config.yaml").string())), yaml);

  EXPECT_THAT(refusal("Cross", {"net_dropout=[0.1, 0.2, 0.3]"}),
              HasSubstr("key 'net_dropout': expected one value, or one for each of the 2 layers of "
                        "stacked_dnn_hidden_units, found 3"));
  EXPECT_THAT(refusal("Cross", {"num_student=2"}), HasSubstr("network: DCNv2 and ensemble: mean"));
  EXPECT_THAT(load("Cross", {"hidden_units=[3]"}).ignored, testing::Contains("hidden_units (DCNv2 does not use it)"));
  EXPECT_THAT(load("Students").model.students[1].settings.integers("hidden_units"), ElementsAre(7));
  EXPECT_EQ(load("Cross", {"embedding_dim=4"}).model.embedding_dim, 4);
}

TEST_F(ConfigTest, NamesWhoseMeaningHasChangedAreToldOnce) {
  EXPECT_THAT(load("Small", {"model=KDEF", "network=DCNv2"}).notes, Not(Contains(HasSubstr("network"))));
  EXPECT_THAT(load("Small", {"model=KDEF", "network=dcnv2"}).notes,
              Contains("network dcnv2 is FuxiCTR's DCNv2, with its keys and defaults; the name meant kdef_dcnv2 before")
                  .Times(1));
  EXPECT_THAT(load("Small", {"model=KDEF", "network=fm"}).notes, Contains(HasSubstr("not there any more")).Times(1));
}

TEST_F(ConfigTest, ANetworkNamedAsTheModelIsTold) {
  EXPECT_THAT(refusal("Small", {"model=wide_deep"}),
              HasSubstr("'wide_deep' is a network; write model: KDEF and network: wide_deep"));
  EXPECT_THAT(refusal("Small", {"model=kdef_autoint"}), HasSubstr("network: kdef_autoint"));
  EXPECT_EQ(load_experiment(folder_.string(), "Small", {"model=MLP", "num_student=1"}).model.students.size(), 1u);
}

TEST_F(ConfigTest, LabelsThatAreNotZeroAndOne) {
  const auto label = [&](const std::string& value) {
    return load_experiment(folder_.string(), "Small", {"label_col=" + value}).dataset;
  };
  const data::DatasetConfig words = label("{name: y, positive: [yes, '01']}");
  EXPECT_EQ(words.label, "y");
  EXPECT_THAT(words.label_positive, ElementsAre("yes", "01"));
  EXPECT_EQ(label("{name: y, threshold: 0.5}").label_threshold, 0.5);
  EXPECT_THAT(refusal("Small", {"label_col={name: y, threshold: 1, positive: [2]}"}), HasSubstr("not both"));
  EXPECT_THAT(refusal("Small", {"label_col={name: y, positive: []}"}), HasSubstr("the values that are clicks"));
  EXPECT_THAT(refusal("Small", {"label_col={name: y, threshold: 1}", "task=regression", "metrics=[RMSE]",
                                "monitor=RMSE", "loss=mse"}),
              HasSubstr("positive and threshold make clicks"));
  // What a run writes is read back.
  const ExperimentConfig config = load_experiment(folder_.string(), "Small", {"label_col={name: y, threshold: 0.5}"});
  EXPECT_THAT(to_yaml(config), HasSubstr("label_col: {name: \"y\", threshold: 0.5}"));
}

TEST_F(ConfigTest, MetricsByGroupsNeedGroups) {
  EXPECT_THAT(refusal("Small", {"metrics=[AUC, gAUC]"}),
              HasSubstr("metric gAUC is measured by groups; name their column with group_id: COLUMN"));
  EXPECT_THAT(refusal("Small", {"monitor=gAUC"}), AllOf(HasSubstr("key 'monitor'"), HasSubstr("group_id: COLUMN")));
  EXPECT_EQ(load("Small", {"metrics=[AUC, gAUC]", "group_id=user"}).dataset.group, "user");
}

TEST_F(ConfigTest, NdcgHasAK) {
  const ExperimentConfig c = load("Small", {"metrics=[AUC, NDCG@5, NDCG(k=10)]", "group_id=user",
                                            "monitor={NDCG(5): 1, auc: 0.5}", "monitor.NDCG@10=2"});
  EXPECT_THAT(c.metrics, ElementsAre("AUC", "NDCG(k=5)", "NDCG(k=10)"));
  EXPECT_EQ(c.training.monitor, (std::map<std::string, double>{{"AUC", 0.5}, {"NDCG(k=5)", 1.0}, {"NDCG(k=10)", 2.0}}));
  write("resolved.yaml", to_yaml(c));
  const ExperimentConfig again = load_resolved((folder_ / "resolved.yaml").string());
  EXPECT_EQ(again.metrics, c.metrics);
  EXPECT_EQ(again.training.monitor, c.training.monitor);
  EXPECT_THAT(refusal("Small", {"metrics=[AUC, NDCG(k=0)]"}), HasSubstr("did you mean 'NDCG(k=1)'?"));
}

TEST_F(ConfigTest, AColumnOfTypeMetaIsNoInput) {
  const ExperimentConfig c =
      load("Small", {"feature_cols=[{name: a}, {name: g, type: meta, active: true, remap: false}]"});
  ASSERT_EQ(c.dataset.fields.size(), 2u);
  EXPECT_TRUE(c.dataset.fields[0].active);
  EXPECT_FALSE(c.dataset.fields[1].active);
}

TEST_F(ConfigTest, TheInitializerOfFuxiCtrIsTheOnlyOne) {
  EXPECT_NO_THROW(load("Small", {"embedding_initializer=partial(nn.init.normal_, std=1e-4)"}));
  EXPECT_THAT(refusal("Small", {"embedding_initializer=partial(nn.init.normal_, std=1e-2)"}),
              HasSubstr("expected partial(nn.init.normal_, std=1e-4) or null"));
}

TEST_F(ConfigTest, AFileInPlaceOfTheFolderIsTold) {
  try {
    load_experiment((folder_ / "model_config.yaml").string(), "Small");
    ADD_FAILURE() << "accepted";
  } catch (const InputError& e) {
    EXPECT_THAT(e.what(), HasSubstr("model_config.yaml: is a file; give the folder that holds"));
  }
}

TEST_F(ConfigTest, WrongTypesNameThePlaceAndWhatWasExpected) {
  EXPECT_THAT(refusal_of("batch_size: many"),
              HasSubstr("model_config.yaml:3:17: key 'batch_size': expected an integer of at least 1, found 'many'"));
  EXPECT_THAT(refusal_of("batch_size: 0"), HasSubstr("at least 1, found '0'"));
  EXPECT_THAT(refusal_of("batch_size: -5"), HasSubstr("at least 1, found '-5'"));
  EXPECT_THAT(refusal_of("batch_size: 1.5"), HasSubstr("expected an integer"));
  EXPECT_THAT(refusal_of("batch_size: '5'"), HasSubstr("found the text '5'"));
  EXPECT_THAT(refusal_of("batch_size: [5]"), HasSubstr("found a list of 1"));
  EXPECT_THAT(refusal_of("batch_size: null"), HasSubstr("found nothing (null)"));
  EXPECT_THAT(refusal_of("learning_rate: 0"), HasSubstr("above 0"));
  EXPECT_THAT(refusal_of("learning_rate: .nan"), HasSubstr("expected a number"));
  EXPECT_THAT(refusal_of("learning_rate: 1e"), HasSubstr("expected a number"));
  EXPECT_THAT(refusal_of("shuffle: 1"), HasSubstr("expected true or false, found '1'"));
  EXPECT_THAT(refusal_of("net_dropout: 1"), HasSubstr("[0, 1)"));
  EXPECT_THAT(refusal_of("net_dropout: -0.1"), HasSubstr("[0, 1)"));
  EXPECT_THAT(refusal_of("hidden_units: []"), HasSubstr("at least one hidden layer"));
  EXPECT_THAT(refusal_of("hidden_units: 64"), HasSubstr("expected a list"));
  EXPECT_THAT(refusal_of("hidden_units: [64, 0]"), HasSubstr("key 'hidden_units[1]'"));
  EXPECT_THAT(refusal_of("hidden_activations: [relu]"), HasSubstr("each of the 3 hidden layers, found 1"));
  EXPECT_THAT(refusal_of("hidden_activations: reul"), HasSubstr("tanh, GELU, LeakyReLU, SiLU, PReLU, Dice, none"));
  EXPECT_THAT(refusal_of("optimizer: adma"), HasSubstr(nn::optimizer_names()));
  EXPECT_THAT(refusal_of("metrics: [AUC, F1]"), HasSubstr("AUC, logloss"));
  EXPECT_THAT(refusal_of("monitor: {AUC: 0}"), HasSubstr("not 0"));
  EXPECT_THAT(refusal_of("monitor: {AUC: x}"), HasSubstr("key 'monitor.AUC': expected a number, found 'x'"));
  EXPECT_THAT(refusal_of("net_regularizer: 1"), HasSubstr("write 1.0 or 0"));
  EXPECT_THAT(refusal_of("net_regularizer: -1"), HasSubstr("expected a number of at least 0"));
  EXPECT_THAT(refusal_of("monitor: RMSE"), AllOf(HasSubstr("key 'monitor'"), HasSubstr("RMSE is not defined")));
  EXPECT_THAT(refusal_of("net_regularizer: l3(1)"), HasSubstr("l1_l2(A, B)"));
  EXPECT_THAT(refusal_of("batch_size: [1, 2"), HasSubstr("model_config.yaml:"));
  EXPECT_THAT(refusal_of("batch_size: [1, 2"), HasSubstr("not valid YAML"));
}

TEST_F(ConfigTest, NumbersAndBooleansAsWritten) {
  const auto rate = [&](const char* text) {
    return load("Small", {std::string("learning_rate=") + text}).training.optimizer.learning_rate;
  };
  EXPECT_EQ(rate("1e-5"), 1e-5);
  EXPECT_EQ(rate("1.e-5"), 1e-5);
  EXPECT_EQ(rate("+0.5"), 0.5);
  EXPECT_EQ(rate("2"), 2);
  for (const char* yes : {"true", "True", "TRUE", "yes", "on"}) {
    EXPECT_TRUE(load("Small", {std::string("deterministic=") + yes}).deterministic) << yes;
  }
  EXPECT_FALSE(load("Small", {"shuffle=No"}).training.shuffle);
}

TEST_F(ConfigTest, KeysThatWouldChangeResultsAreNotIgnored) {
  EXPECT_THAT(refusal("Small", {"data_format=orc"}), HasSubstr("csv, h5, npz, parquet"));
  EXPECT_THAT(load("Small", {"gpu=0", "net1_dropout=0.3"}).ignored,
              testing::IsSupersetOf({"gpu", "net1_dropout (EKTF does not use it)"}));
}

TEST_F(ConfigTest, ColumnsOfWeightsAndGroups) {
  EXPECT_EQ(load("Small").dataset.weight, "");
  EXPECT_EQ(load("Small").dataset.group, "");
  const ExperimentConfig config = load("Small", {"weight_col=cost", "group_id=user"});
  EXPECT_EQ(config.dataset.weight, "cost");
  EXPECT_EQ(config.dataset.group, "user");
  write("resolved.yaml", to_yaml(config));
  const ExperimentConfig again = load_resolved((folder_ / "resolved.yaml").string());
  EXPECT_EQ(again.dataset.weight, "cost");
  EXPECT_EQ(again.dataset.group, "user");
}

TEST_F(ConfigTest, MonitorModeFollowsTheMonitoredMetric) {
  const auto higher_is_better = [&](const std::vector<std::string>& overrides) {
    return load("X", overrides).training.monitor_max;
  };
  write("model_config.yaml", "X:\n    dataset_id: clicks\n");
  EXPECT_TRUE(higher_is_better({}));
  EXPECT_TRUE(higher_is_better({"monitor=AUC"}));
  EXPECT_FALSE(higher_is_better({"monitor=logloss"}));
  EXPECT_FALSE(higher_is_better({"monitor=binary_crossentropy"}));
  EXPECT_FALSE(higher_is_better({"metrics=[PCOC]", "monitor=predicted_over_actual"})) << "its distance to 1";
  EXPECT_TRUE(higher_is_better({"monitor={AUC: 1, logloss: 0}"}));
  EXPECT_TRUE(higher_is_better({"monitor={AUC: 1, logloss: -1}"}));
  EXPECT_FALSE(higher_is_better({"monitor={AUC: -1, logloss: 0.5}"}));
  EXPECT_TRUE(higher_is_better({"monitor={AUC: 1, logloss: 1}"})) << "the metrics disagree: max, as in FuxiCTR";
  // What is said explicitly counts, also where it contradicts the metric.
  EXPECT_TRUE(higher_is_better({"monitor=logloss", "monitor_mode=max"}));
  EXPECT_FALSE(higher_is_better({"monitor=AUC", "monitor_mode=min"}));
  const std::vector<std::string> regression = {"task=regression", "loss=mse", "ensemble=mean"};
  EXPECT_FALSE(higher_is_better(regression));
  std::vector<std::string> mae = regression;
  mae.push_back("monitor=MAE");
  EXPECT_FALSE(higher_is_better(mae));
}

TEST_F(ConfigTest, SpellingsOfFeatureEncoder) {
  const auto pooling = [&](const std::string& name) {
    write("dataset_config.yaml",
          "clicks:\n  train_data: t.csv\n  label_col: y\n  feature_cols:\n"
          "    - {name: s, type: sequence, feature_encoder: " +
              name + "}\n");
    return load("Small").dataset.fields.at(0).pooling;
  };
  for (const char* name :
       {"layers.MaskedSumPooling()", "layers.MaskedSumPooling", "MaskedSumPooling", "LAYERS.maskedsumpooling()"}) {
    EXPECT_EQ(pooling(name), data::Pooling::sum) << name;
  }
  EXPECT_EQ(pooling("MaskedAveragePooling"), data::Pooling::average);
  EXPECT_THAT([&] { pooling("null"); }, testing::Throws<InputError>());
}

TEST_F(ConfigTest, DataSetMistakes) {
  const auto dataset = [&](const std::string& columns) {
    write("dataset_config.yaml", "clicks:\n  train_data: t.csv\n  label_col: y\n  feature_cols:\n" + columns);
    return refusal("Small");
  };
  EXPECT_THAT(dataset("  - {name: a}\n  - {name: a}\n"),
              HasSubstr("dataset_config.yaml:6:5: key 'feature_cols[1]': column 'a'"));
  EXPECT_THAT(dataset("  - {type: numeric}\n"), HasSubstr("expected a key 'name'"));
  EXPECT_THAT(dataset("  - {name: a, type: categoric}\n"), HasSubstr("did you mean 'categorical'"));
  EXPECT_THAT(dataset("  - {name: a, active: false}\n"), HasSubstr("no column is active"));
  EXPECT_THAT(dataset("  - {name: y}\n"), HasSubstr("is the label"));
  EXPECT_THAT(dataset("  - {name: a, share_embedding: b}\n"), HasSubstr("no earlier column 'b'"));
  EXPECT_THAT(dataset("  - {name: a, feature_encoder: layers.MaskedSumPooling()}\n"), HasSubstr("type sequence"));
  write("dataset_config.yaml", "clicks:\n  train_data: t.csv\n  label_col: y\n");
  EXPECT_THAT(refusal("Small"), HasSubstr("has no key 'feature_cols'"));
}

TEST_F(ConfigTest, ResolvedConfigurationReadsBackEqual) {
  append("model_config.yaml", R"(
All:
    model: KDEF
    dataset_id: clicks
    ensemble: concat
    students:
    - {network: mlp, hidden_units: [4, 5], hidden_activations: [tanh, none], dropout: [0.1, 0.3], layer_norm: true, batch_norm: false}
    - {network: exponential_cross, num_cross_layers: 2}
    embedding_dim: 3
    shared_embedding: false
    fused: false
    teach: false
    peer: false
    examination: detached
    optimizer: lazy_adam
    learning_rate: 0.1234567890123
    embedding_regularizer: l1_l2(1e-7, 3e-5)
    net_regularizer: 1.
    max_gradient_norm: 0
    batch_size: 17
    shards: 4
    divide_tables: true
    epochs: 3
    shuffle: false
    seed: 7
    precision: bf16
    deterministic: true
    metrics: [logloss]
    monitor: logloss
    monitor_mode: min
    eval_steps: 11
    early_stop_patience: 5
    reduce_lr_on_plateau: false
    save_best_only: false
    model_root: "odd: 'path' \\ #1\t"
    checkpoint_every: 13
    collapse_every: 4
    tensorboard: true
    baseline: none
    init: runs/before
    grow_vocabulary: true
    init_optimizer: false
)");
  append("dataset_config.yaml", R"(
    valid_data: v.tsv
    test_data: "true"
    separator: "\t"
    weight_col: w
    group_id: g
    quote: none
    na_values: ["NULL", "\\N"]
    columns: [Label, I1, I2, genres, "no", "1e3"]
)");
  const ExperimentConfig a =
      load("All", {"feature_cols.1.feature_encoder=layers.MaskedSumPooling()", "feature_cols.1.padding=pre",
                   "feature_cols.1.embedding_dim=2", "feature_cols.0.min_categr_count=2", "feature_cols.1.fill_na=''"});
  write("run/config.yaml", to_yaml(a));
  const ExperimentConfig b = load_resolved((folder_ / "run/config.yaml").string());
  EXPECT_EQ(to_yaml(b), to_yaml(a));
  EXPECT_EQ(b.id, "All");
  EXPECT_EQ(b.model.kind, EnsembleKind::concat);
  ASSERT_EQ(b.model.students.size(), 2u);
  EXPECT_THAT(b.model.students[0].hidden_activations, ElementsAre("tanh", "none"));
  EXPECT_THAT(b.model.students[0].dropout, ElementsAre(0.1, 0.3));
  EXPECT_TRUE(b.model.students[0].layer_norm);
  EXPECT_FALSE(b.model.students[0].batch_norm);
  EXPECT_THAT(b.model.students[1].dropout, ElementsAre(0, 0));
  EXPECT_FALSE(b.model.fused);
  EXPECT_FALSE(b.model.objective.teach);
  EXPECT_EQ(b.model.objective.examination, Examination::detached);
  EXPECT_EQ(b.training.optimizer.kind, nn::OptimizerKind::lazy_adam);
  EXPECT_EQ(b.training.optimizer.learning_rate, 0.1234567890123);
  EXPECT_EQ(b.training.optimizer.embedding.l1, 1e-7);
  EXPECT_EQ(b.training.optimizer.net.l2, 1);
  EXPECT_EQ(b.training.monitor.size(), 1u);
  EXPECT_FALSE(b.training.monitor_max);
  EXPECT_EQ(b.training.eval_steps, 11);
  EXPECT_EQ(b.init, "runs/before");
  EXPECT_EQ(b.dataset.base_vocabulary, "runs/before/vocabulary.kdefvoc");
  EXPECT_TRUE(b.dataset.grow_vocabulary);
  EXPECT_FALSE(b.init_optimizer);
  EXPECT_EQ(b.model_root, "odd: 'path' \\ #1\t");
  EXPECT_EQ(b.dataset.id, "clicks");
  EXPECT_EQ(b.dataset.test_data, "true");
  EXPECT_EQ(b.dataset.separator, "\t");
  EXPECT_EQ(b.dataset.columns, a.dataset.columns);
  ASSERT_EQ(b.dataset.fields.size(), 3u);
  EXPECT_EQ(b.dataset.fields[0].fill_na, "0");
  EXPECT_EQ(b.dataset.fields[0].min_categr_count, 2);
  EXPECT_EQ(b.dataset.fields[2].fill_na, "");
  EXPECT_EQ(b.dataset.fields[2].pooling, data::Pooling::sum);
  EXPECT_EQ(b.dataset.fields[2].padding, data::Padding::pre);
  EXPECT_EQ(b.dataset.fields[2].embedding_dim, 2);
  // No key of the file is still at its default, so that none can be lost unnoticed.
  const std::string standard = to_yaml(ExperimentConfig{}), written = to_yaml(a);
  std::istringstream lines(standard);
  for (std::string line; std::getline(lines, line);) {
    const std::string key = line.substr(0, line.find(':'));
    if (key == "model" || key == "task" || key == "loss") continue;
    if (key == "rebuild_dataset") continue;  // prepared_data_test.cpp
    if (key.find("split") != std::string::npos || key.find("_size") == key.size() - 5) continue;  // fuxictr_test.cpp
    EXPECT_THAT("\n" + written, Not(HasSubstr("\n" + line + "\n")));
  }
}

TEST_F(ConfigTest, OverridesOfAResolvedConfiguration) {
  write("config.yaml", to_yaml(load("Small")));
  const std::string file = (folder_ / "config.yaml").string();
  EXPECT_EQ(load_resolved(file, {"epochs=7"}).training.epochs, 7);
  EXPECT_THAT(load_resolved(file, {"students.1.dropout=0.5"}).model.students[1].dropout, ElementsAre(0.5, 0.5));
  for (const char* inert : {"net_dropout=0.5", "dropout=0.5", "num_student=2", "hidden_units=[3]"}) {
    EXPECT_THROW(load_resolved(file, {inert}), InputError) << inert;
  }
}

TEST_F(ConfigTest, EveryKeyIsDocumentedWithItsDefault) {
  const std::string text = keys_markdown();
  EXPECT_THAT(text, HasSubstr("| `batch_size` | integer >= 1 | `4096` |"));
  EXPECT_THAT(text, HasSubstr("| `hidden_units` | list of integers in [1, 1048576] | `[64, 64, 64]` |"));
  EXPECT_THAT(text, HasSubstr("| `splitter` | text | `\"^\"` |"));
  EXPECT_THAT(text, HasSubstr("| `num_workers` |"));
}

TEST_F(ConfigTest, MergeKeysFillInWhatIsNotSet) {
  append("model_config.yaml", R"(
Anchored: &anchored
    model: EKTF
    dataset_id: clicks
    hidden_units: [8]
    batch_size: 77
Other: &other
    batch_size: 5
    seed: 3
Merged:
    <<: *anchored
    hidden_units: [4]
MergedList:
    model: MLPs_mean
    <<: [*anchored, *other]
)");
  EXPECT_EQ(load("Merged").training.batch_size, 77);
  EXPECT_EQ(load("Merged").model.students[0].hidden_units, std::vector<int64_t>{4});
  EXPECT_EQ(load("MergedList").model.kind, EnsembleKind::mean);
  EXPECT_EQ(load("MergedList").training.batch_size, 77) << "the first of the list counts";
  EXPECT_EQ(load("MergedList").training.seed, 3u);
}

TEST(Keys, DocumentIsCurrent) {
  const std::string text = test::read_file(std::string(KDEF_SOURCE_DIR) + "/docs/configuration.md");
  EXPECT_NE(text.find(keys_markdown()), std::string::npos)
      << "docs/configuration.md does not end with what kdef train --keys prints";
}

TEST(Networks, DocumentIsCurrent) {
  const std::string page = networks_page();
  EXPECT_EQ(test::read_file(std::string(KDEF_SOURCE_DIR) + "/docs/networks.md"), page)
      << "docs/networks.md is not what the code states; write it anew with: kdef networks --markdown > "
         "docs/networks.md";
  for (const nn::NetworkType& type : nn::network_types()) {
    const std::string section = network_section(type.name);
    EXPECT_THAT(page, HasSubstr("\n" + section.substr(0, section.size() - 1))) << type.name;
    for (const std::string& part : {type.source, type.formula}) EXPECT_THAT(section, HasSubstr(part)) << type.name;
    for (const nn::SettingKey& key : type.keys) {
      EXPECT_THAT(section, HasSubstr("| `" + key.name + "` | " + key.type())) << type.name;
    }
    EXPECT_THAT(networks_list(), HasSubstr(type.name + " ")) << type.name;
  }
  EXPECT_THAT(network_section("xDeepFM"),
              HasSubstr("| `cin_hidden_units` | list of integers in [1, 1048576] | `[16, 16, 16]` |"));
  EXPECT_THROW(network_section("xDeepMF"), InputError);
}

}  // namespace
}  // namespace kdef
