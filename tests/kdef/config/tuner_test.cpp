// Tuner files of FuxiCTR: the same experiments under the same names.
#include "kdef/config/tuner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "kdef/config/python_text.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kFolder = std::string(KDEF_SOURCE_DIR) + "/tests/fixtures/tuner/";

std::string printed(const std::string& yaml) {
  try {
    return config_keys::python_text(parse_yaml(yaml, "test", "key"));
  } catch (const InputError& e) {
    return e.what();
  }
}

TEST(PythonText, IsWhatPythonPrintsOfWhatPyYamlReads) {
  for (const auto& [yaml, text] : std::vector<std::pair<std::string, std::string>>{
           {"1.e-4", "0.0001"},
           {"1.e-5", "1e-05"},
           {"1e-5", "1e-5"},  // a text
           {"[1e-5]", "['1e-5']"},
           {"1.5e+3", "1500.0"},
           {"123456789012345680.0", "1.2345678901234568e+17"},
           {"9007199254740993.0", "9007199254740992.0"},
           {"0x1F", "31"},
           {"0100", "64"},
           {"-1_000", "-1000"},
           {"1:30", "90"},
           {"1:30.5", "90.5"},
           {"[yes, No, TRUE, 'yes', ~, null, y]", "[True, False, True, 'yes', None, None, 'y']"},
           {"{AUC: 1, gAUC: -0.5, 3: [a]}", "{'AUC': 1, 'gAUC': -0.5, 3: ['a']}"},
           {"[\"it's\", 'a \"b\"', \"it's \\\"b\\\"\"]", "[\"it's\", 'a \"b\"', 'it\\'s \"b\"']"},
           {"[\"a\\nb\\x07\\u00e9\\\\\"]", "['a\\nb\\x07é\\\\']"},
           {"!!python/tuple [a]", "('a',)"},
           {"!!python/tuple [a, 1]", "('a', 1)"},
           {"[]", "[]"},
           {"text", "text"}}) {
    EXPECT_EQ(printed(yaml), text) << yaml;
  }
  EXPECT_THAT(printed("2001-02-03"), HasSubstr("reads 2001-02-03 as a date; write '2001-02-03' in quotes"));
  EXPECT_THAT(printed("!!float 1"), HasSubstr("the tag tag:yaml.org,2002:float is not taken"));
  EXPECT_THAT(printed("&a [*a]"), HasSubstr("too deep"));
}

// tests/fixtures/tuner/record.py wrote what FuxiCTR gives.
TEST(TunerFile, GivesTheNamesOfFuxictr) {
  const auto expected = nlohmann::json::parse(test::read_file(kFolder + "expected.json"));
  ASSERT_EQ(expected.size(), 7u);
  for (const auto& [file, names] : expected.items()) {
    const TunerFile tuner(kFolder + file);
    std::vector<std::string> experiments;
    std::set<std::string> datasets;
    for (const TunerFile::Experiment& e : tuner.experiments()) {
      experiments.push_back(e.id);
      datasets.insert(e.dataset_id);
    }
    EXPECT_EQ(experiments, names["experiments"].get<std::vector<std::string>>()) << file;
    for (const auto& name : names["datasets"])
      EXPECT_EQ(datasets.count(name.get<std::string>()), 1u) << file << " " << name;
    EXPECT_EQ(datasets.size(), names["datasets"].size()) << file;
  }
}

TEST(TunerFile, ExperimentsHaveTheirValuesOverThoseOfTheBase) {
  const TunerFile tuner(kFolder + "template.yaml");
  std::vector<std::string> keys;
  for (const TunerFile::Key& key : tuner.keys()) keys.push_back(key.name);
  EXPECT_THAT(keys, ElementsAre("dnn_hidden_units", "embedding_regularizer", "batch_norm", "net_dropout"));
  EXPECT_THAT(tuner.keys()[0].values, ElementsAre("[8]", "[16, 8]", "[400, 400, 400]"));
  EXPECT_THAT(tuner.keys()[1].values, ElementsAre("1e-06", "0.0005", "1e-5"));
  EXPECT_EQ(tuner.base_experiment(), "DCN_mine");
  // The last key of the base that varies, net_dropout, is fastest.
  EXPECT_EQ(tuner.experiments()[1].values, (std::vector<size_t>{0, 0, 0, 1}));
  const ExperimentConfig config = tuner.load(53, {"epochs=3"});
  EXPECT_EQ(config.id, tuner.experiments()[53].id);
  EXPECT_EQ(config.dataset_id, "mine_76f1841e");
  EXPECT_EQ(config.dataset.id, "mine_76f1841e");
  EXPECT_EQ(config.model_name, "DCN");
  EXPECT_EQ(config.model.embedding_dim, 10);
  EXPECT_EQ(config.training.epochs, 3);
  EXPECT_EQ(config.training.seed, 20222023u);
  EXPECT_EQ(config.training.monitor, (std::map<std::string, double>{{"AUC", 1}, {"logloss", -1}}));
  EXPECT_THAT(config.metrics, ElementsAre("AUC", "logloss"));
}

TEST(TunerFile, SeedsAndNamesOfDataSetsAreNoKeysOfTheTable) {
  const TunerFile tuner(kFolder + "datasets.yaml");
  std::vector<std::string> keys;
  for (const TunerFile::Key& key : tuner.keys()) keys.push_back(key.name);
  EXPECT_THAT(keys, ElementsAre("embedding_dim", "data_format", "min_categr_count"));
}

std::string refusal(const std::string& text) {
  const test::TemporaryDirectory folder;
  test::put(folder / "tuner.yaml", text);
  try {
    const TunerFile tuner(folder / "tuner.yaml", kFolder + "base");
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

TEST(TunerFile, WhatCannotBeTunedIsTold) {
  EXPECT_THAT(refusal("base_expid: named\n"), HasSubstr("there is no key 'tuner_space'"));
  EXPECT_THAT(refusal("tuner_space: {seed: 1}\n"), HasSubstr("there is no key 'base_expid'"));
  EXPECT_THAT(refusal("base_expid: nemed\ntuner_space: {seed: 1}\n"),
              HasSubstr("experiment 'nemed' is not there; there are: named, template"));
  EXPECT_THAT(refusal("base_expid: template\ntuner_space: {seed: 1}\n"), HasSubstr("data set 'TBD' is not in"));
  EXPECT_THAT(refusal("base_expid: named\ntuner_space:\n  lerning_rate: 1\n"),
              testing::AllOf(HasSubstr("tuner.yaml:3:3: "), HasSubstr("did you mean 'learning_rate'?")));
  EXPECT_THAT(refusal("base_expid: named\ntuner_space: {seed: []}\n"), HasSubstr("at least one value"));
  EXPECT_THAT(refusal("base_expid: named\ndataset_id: clicks\ntuner_space: {dataset_id: [clicks, other]}\n"),
              HasSubstr("the data set of this file is 'clicks', and the space cannot vary it"));
  std::string many = "base_expid: named\ntuner_space:\n";
  for (const char* key : {"seed", "epochs", "batch_size", "embedding_dim", "learning_rate", "net_dropout"}) {
    many += std::string("  ") + key + ": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n";
  }
  EXPECT_THAT(refusal(many), HasSubstr("more than 100000 experiments"));
  const TunerFile tuner(kFolder + "encoded.yaml");
  EXPECT_THROW(tuner.load(0, {"dataset_id=other"}), InputError);
}

}  // namespace
}  // namespace kdef
