// A run directory: what may be trained into it, and who may.
#include "kdef/run/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/io/file.h"
#include "core/io/file_lock.h"
#include "kdef/train/run_files.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using test::SmallExperiment;
using testing::ElementsAre;
using testing::HasSubstr;

std::string refusal(const ExperimentConfig& config, const RunOptions& options) {
  try {
    run_experiment(config, options);
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

TEST(RunDirectory, HoldsOneTrainingAtATime) {
  const SmallExperiment e(1000);
  RunOptions options;
  options.directory = e.directory / "run";
  make_directories(options.directory);
  {
    const FileLock other(options.directory);
    EXPECT_THAT(refusal(e.load({"epochs=1"}), options), HasSubstr("another training is writing there (process "));
    EXPECT_FALSE(exists(RunFiles(options.directory).config()));
  }
  EXPECT_EQ(refusal(e.load({"epochs=1"}), options), "");
}

TEST(RunDirectory, IsReplacedOnlyOnRequest) {
  const SmallExperiment e(1000);
  RunOptions options;
  options.directory = e.directory / "run";
  options.resume = true;
  EXPECT_THAT(refusal(e.load({"epochs=1"}), options), HasSubstr("no checkpoint to resume from"));
  options.resume = false;
  ASSERT_EQ(refusal(e.load({"epochs=1"}), options), "");
  EXPECT_THAT(refusal(e.load({"epochs=1"}), options), HasSubstr("already holds a run; give --resume"));
  options.resume = true;
  EXPECT_THAT(refusal(e.load({"epochs=2"}), options), HasSubstr("other settings: epochs (1 before, 2 now)"));
  options.overwrite = true;
  EXPECT_THAT(refusal(e.load({"epochs=1"}), options), HasSubstr("--resume or --overwrite"));
  options.resume = false;
  EXPECT_EQ(refusal(e.load({"epochs=1", "seed=3"}), options), "");
  EXPECT_EQ(kdef::Run(options.directory).config().training.seed, 3u);
}

TEST(RunDirectory, IsNamedByTheConfiguration) {
  ExperimentConfig config;
  config.id = "three";
  config.dataset_id = "clicks";
  config.model_root = "./models/";
  config.dataset.data_root = "data/../cache";
  EXPECT_EQ(default_run_directory(config), "models/clicks/three");
  EXPECT_EQ(cache_directory(config), "cache/clicks");
}

TEST(RunDirectory, OptionsAreToldOfDataAndModelBeforeTheFirstStep) {
  const SmallExperiment e(1000);
  RunOptions options;
  options.directory = e.directory / "run";
  std::vector<std::string> calls;
  options.ready = [&](const auto&, const Ensemble& model) {
    EXPECT_EQ(model.student_count(), 3u);
    calls.push_back("ready");
  };
  options.listener.step = [&](const TrainingListener::Step& s) {
    if (s.step == 1) calls.push_back("step");
  };
  run_experiment(e.load({"epochs=1"}), options);
  EXPECT_THAT(calls, ElementsAre("ready", "step"));
}

TEST(RunDirectory, WithoutAModelCannotPredict) {
  const SmallExperiment e(1000);
  EXPECT_THROW(kdef::Run(e.directory / "nothing"), InputError);
}

}  // namespace
}  // namespace kdef
