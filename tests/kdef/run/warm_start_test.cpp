#include "kdef/run/warm_start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/io/safetensors.h"
#include "kdef/run/run.h"
#include "kdef/train/run_files.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// A run of one day, and the data of the next, with words that the first lacks.
class WarmStartRun : public testing::Test {
 protected:
  WarmStartRun() {
    data::SynthConfig next;
    next.rows = 2000;
    next.seed = 77;
    next.out_dir = e_.directory / "next";
    data::synthesize(next);
    first_ = train(e_.load({"epochs=1"}), "first");
  }
  // The experiment on the next day's rows, from the first run.
  ExperimentConfig load(std::vector<std::string> overrides = {}) const {
    const std::string next = e_.directory / "next";
    overrides.insert(overrides.begin(), {"train_data=" + next + "/train.csv", "valid_data=" + next + "/valid.csv",
                                         "test_data=" + next + "/test.csv", "init=" + first_, "epochs=1"});
    return e_.load(overrides);
  }
  std::string train(const ExperimentConfig& config, const std::string& name, int64_t stop_after = 0,
                    bool resume = false) const {
    RunOptions options;
    options.directory = e_.directory / name;
    options.resume = resume;
    int64_t steps = 0;
    options.listener.step = [&](const TrainingListener::Step& s) { steps = s.step; };
    if (stop_after > 0) options.listener.stop_requested = [&] { return steps >= stop_after; };
    run_experiment(config, options);
    return options.directory;
  }
  std::string refusal(const ExperimentConfig& config) const {
    try {
      train(config, "refused");
    } catch (const InputError& e) {
      return e.what();
    }
    return "";
  }
  static std::vector<float> values(const Tensor& t) { return t.detach().to(kCpu).to_vector<float>(); }

  const test::SmallExperiment e_{2000};
  std::string first_;
};

TEST_F(WarmStartRun, TablesKeepTheirRowsAndGetNewOnesBehind) {
  const ExperimentConfig config = load({"grow_vocabulary=true"});
  const data::PreparedData data = data::prepare_and_open(config.dataset, cache_directory(config));
  nn::Builder cold_build(config.training.seed, DType::f32, kCpu), build(config.training.seed, DType::f32, kCpu);
  const auto fields = embedding_fields(data.summary.map);
  const Ensemble cold(config.model, fields, cold_build);
  Ensemble model(config.model, fields, build);
  WarmStart(config, e_.directory / "second").load(data.summary.map, model);
  const SafetensorsFile file(RunFiles(first_).model());
  const std::vector<nn::Parameter> parameters = model.parameters(), cold_parameters = cold.parameters();
  int grown = 0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const nn::Parameter& p = parameters[i];
    const std::vector<float> was = values(file.read(p.name)), is = values(p.tensor),
                             seeded = values(cold_parameters[i].tensor);
    ASSERT_EQ(is.size(), seeded.size());
    EXPECT_TRUE(std::equal(was.begin(), was.end(), is.begin())) << p.name;
    EXPECT_TRUE(std::equal(is.begin() + static_cast<int64_t>(was.size()), is.end(),
                           seeded.begin() + static_cast<int64_t>(was.size())))
        << p.name;
    grown += is.size() > was.size();
  }
  EXPECT_GE(grown, 2);
  for (const nn::Buffer& b : model.buffers()) EXPECT_EQ(values(file.read(b.name)), values(b.tensor)) << b.name;
}

TEST_F(WarmStartRun, StartsWhereTheRunEnded) {
  // The same rows and one step that is almost none: the evaluation is that of the first run.
  const std::string second = train(e_.load({"init=" + first_, "learning_rate=1e-12", "epochs=1"}), "same");
  const SafetensorsFile before(RunFiles(first_).model()), after(RunFiles(second).model());
  for (const std::string& name : before.names()) {
    if (name.find("running") != std::string::npos) continue;
    const std::vector<float> was = values(before.read(name)), is = values(after.read(name));
    ASSERT_EQ(was.size(), is.size()) << name;
    for (size_t i = 0; i < was.size(); ++i) EXPECT_NEAR(was[i], is[i], 1e-6) << name;
  }
  EXPECT_EQ(test::read_file(RunFiles(first_).vocabulary()), test::read_file(RunFiles(second).vocabulary()));
}

TEST_F(WarmStartRun, HasTheSameBitsInEveryRunAndWhenResumed) {
  for (const char* more : {"init_optimizer=false", "init_optimizer=true"}) {
    const std::string name = std::string(more).substr(15);
    const ExperimentConfig config = load({"grow_vocabulary=true", more});
    const std::string whole = RunFiles(train(config, "whole" + name)).model();
    EXPECT_EQ(test::read_file(whole), test::read_file(RunFiles(train(config, "again" + name)).model()));
    train(config, "stopped" + name, 2);
    const std::string resumed = RunFiles(train(config, "stopped" + name, 0, true)).model();
    EXPECT_EQ(test::read_file(whole), test::read_file(resumed));
  }
  EXPECT_NE(test::read_file(e_.directory / "wholetrue/model.safetensors"),
            test::read_file(e_.directory / "wholefalse/model.safetensors"));
}

TEST_F(WarmStartRun, AChainOfDaysPredictsBySavedVocabularies) {
  const std::string second = train(load({"grow_vocabulary=true"}), "second");
  // The third day has the rows of the first.
  const std::string third = train(e_.load({"init=" + second, "grow_vocabulary=true", "epochs=1"}), "third");
  const data::FeatureMap one = kdef::Run(first_).encoder().feature_map(),
                         two = kdef::Run(second).encoder().feature_map(),
                         three = kdef::Run(third).encoder().feature_map();
  for (size_t f = 0; f < one.fields.size(); ++f) {
    EXPECT_LE(one.fields[f].vocab_size, two.fields[f].vocab_size);
    EXPECT_EQ(two.fields[f].vocab_size, three.fields[f].vocab_size) << "nothing is new, and nothing is dropped";
    if (one.fields[f].vocab_size == 0) continue;
    EXPECT_EQ(one.fields[f].out_of_vocabulary(), three.fields[f].out_of_vocabulary());
  }
}

TEST_F(WarmStartRun, TheOptimizerGoesOn) {
  const ExperimentConfig config = load({"grow_vocabulary=true"});
  const data::PreparedData data = data::prepare_and_open(config.dataset, cache_directory(config));
  nn::Builder build(1, DType::f32, kCpu);
  Ensemble model(config.model, embedding_fields(data.summary.map), build);
  WarmStart start(config, e_.directory / "second");
  start.load(data.summary.map, model);
  nn::Optimizer optimizer(model.parameters(), config.training.optimizer);
  start.load(optimizer);
  const SafetensorsFile checkpoint(RunFiles(first_).checkpoint());
  EXPECT_EQ(std::to_string(optimizer.steps()), checkpoint.metadata().at("optimizer_steps"));
  for (const nn::Buffer& b : optimizer.state()) {
    const std::vector<float> was = values(checkpoint.read("optimizer." + b.name)), is = values(b.tensor);
    ASSERT_LE(was.size(), is.size());
    EXPECT_TRUE(std::equal(was.begin(), was.end(), is.begin())) << b.name;
    for (size_t i = was.size(); i < is.size(); ++i) EXPECT_EQ(is[i], 0) << b.name;
  }
}

TEST_F(WarmStartRun, WhatDoesNotFitIsNamed) {
  EXPECT_THAT(refusal(load({"hidden_units=[16, 4]"})),
              AllOf(HasSubstr("first/model.safetensors: tensor '"), HasSubstr("[8, 16]"), HasSubstr("[4, 16]")));
  EXPECT_THAT(refusal(load({"embedding_dim=4"})), AllOf(HasSubstr("embedding_layers."), HasSubstr(", 4]")));
  EXPECT_THAT(refusal(load({"num_student=1"})), HasSubstr("is not part of this configuration's model"));
  EXPECT_THAT(refusal(load({"optimizer=adagrad"})),
              AllOf(HasSubstr("its optimizer is adam"), HasSubstr("adagrad"), HasSubstr("init_optimizer=false")));
  EXPECT_EQ(refusal(load({"init_optimizer=false", "optimizer=adagrad", "grow_vocabulary=true"})), "");
  std::filesystem::remove_all(e_.directory / "refused");
  EXPECT_THAT(refusal(load({"init=" + (e_.directory / "none")})),
              AllOf(HasSubstr("none: cannot be opened: No such file"), HasSubstr("a run directory of kdef train")));
  EXPECT_THAT(refusal(load({"init=" + e_.directory.path()})),
              AllOf(HasSubstr("is not the directory of a run"), HasSubstr("config.yaml")));
  std::filesystem::copy(first_, e_.directory / "copy", std::filesystem::copy_options::recursive);
  std::filesystem::remove_all(e_.directory / "copy/checkpoint");
  EXPECT_THAT(refusal(load({"init=" + (e_.directory / "copy")})),
              AllOf(HasSubstr("has no checkpoint/state.safetensors"), HasSubstr("init_optimizer")));
  EXPECT_FALSE(exists(e_.directory / "refused")) << "nothing was written";
  RunOptions same;
  same.directory = first_;
  same.overwrite = true;
  EXPECT_THROW(run_experiment(load(), same), InputError);
  EXPECT_THROW(load({"init=null", "grow_vocabulary=true"}), InputError);
}

}  // namespace
}  // namespace kdef
