// A run directory: what may be trained into it, and who may.
#include "kdef/run/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/io/file.h"
#include "core/io/file_lock.h"
#include "kdef/train/run_files.h"
#include "tests/kdef/support.h"
#include "tests/support/locales.h"

namespace kdef {
namespace {

using test::SmallExperiment;
using testing::AllOf;
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
  config.id = "a/b";  // a folder of experiments stays inside
  EXPECT_EQ(default_run_directory(config), "models/clicks/a/b");
}

TEST(RunDirectory, IsBesideTheDataThatFuxiCtrHasPrepared) {
  const test::TemporaryDirectory dir;
  ExperimentConfig config;
  config.dataset_id = "clicks";
  config.dataset.data_root = dir.path();
  EXPECT_EQ(cache_directory(config), dir / "clicks");
  std::filesystem::create_directory(dir / "clicks");
  test::put(dir / "clicks/feature_map.json", "{\"dataset_id\": \"clicks\"}");
  EXPECT_EQ(cache_directory(config), dir / "clicks/kdef");
  test::put(dir / "clicks/vocabulary.kdefvoc", "");
  EXPECT_EQ(cache_directory(config), dir / "clicks") << "a preparation of this program was killed";
}

TEST(RunDirectory, DoesNotLeaveItsFolder) {
  for (const char* outside : {"..", "../x", "a/../../x", "/x", ".", "a/..", ""}) {
    ExperimentConfig config;
    config.id = outside;
    config.dataset_id = "clicks";
    config.model_root = "models";
    config.dataset.data_root = "cache";
    EXPECT_THROW(default_run_directory(config), InputError) << outside;
    config.id = "KDEF";
    config.dataset_id = outside;
    EXPECT_THROW(default_run_directory(config), InputError) << outside;
    EXPECT_THROW(cache_directory(config), InputError) << outside;
  }
}

TEST(RunDirectory, KeepsFilesThatNoTrainingOfThisConfigurationLeft) {
  const SmallExperiment e(1000);
  RunOptions options;
  options.directory = e.directory / "run";
  const RunFiles files(options.directory);
  make_directories(options.directory);
  for (const std::string& file : files.from_training()) {
    if (file == files.checkpoint()) continue;
    write_file(file, "precious");
    EXPECT_THAT(refusal(e.load({"epochs=1"}), options),
                AllOf(HasSubstr("already "), HasSubstr("--overwrite"), HasSubstr("there are " + files.name(file))))
        << file;
    EXPECT_EQ(test::read_file(file), "precious");
    remove_file(file);
  }
  write_file(files.config(), "precious: true\n");
  EXPECT_THAT(refusal(e.load({"epochs=1"}), options), HasSubstr("there are config.yaml"));
  // The beginning of a training that was killed before its first checkpoint.
  write_file(files.config(), to_yaml(e.load({"epochs=1"})));
  write_file(files.metrics(), "");
  EXPECT_THAT(refusal(e.load({"epochs=2"}), options), HasSubstr("there are config.yaml, metrics.jsonl"));
  EXPECT_EQ(refusal(e.load({"epochs=1"}), options), "");
}

TEST(RunDirectory, NothingIsWrittenThroughItsLinks) {
  const SmallExperiment e(1000);
  RunOptions options;
  options.directory = e.directory / "run";
  int steps = 0;
  options.listener.step = [&](const TrainingListener::Step&) { ++steps; };
  options.listener.stop_requested = [&] { return steps == 1; };
  ASSERT_EQ(refusal(e.load({"epochs=2"}), options), "");
  options.resume = true;
  options.listener.stop_requested = [] { return false; };
  const RunFiles files(options.directory);
  const std::string victim = e.directory / "victim", folder = e.directory / "folder";
  write_file(victim, "precious");
  // A log.
  rename_file(files.metrics(), e.directory / "metrics");
  std::filesystem::create_symlink("../victim", files.metrics());
  EXPECT_THAT(refusal(e.load({"epochs=2"}), options), HasSubstr("metrics.jsonl: is a symbolic link"));
  rename_file(e.directory / "metrics", files.metrics());
  // The folder of checkpoints.
  std::filesystem::rename(files.checkpoint_folder(), folder);
  std::filesystem::create_symlink("../folder", files.checkpoint_folder());
  EXPECT_THAT(refusal(e.load({"epochs=2"}), options), HasSubstr("checkpoint: is a symbolic link"));
  std::filesystem::remove(files.checkpoint_folder());
  std::filesystem::rename(folder, files.checkpoint_folder());
  // Files that are replaced as a whole.
  for (const std::string& file : {files.model(), files.result(), files.collapse()}) {
    remove_file(file);
    std::filesystem::create_symlink("../victim", file);
  }
  EXPECT_EQ(refusal(e.load({"epochs=2"}), options), "");
  for (const std::string& file : files.from_training()) EXPECT_FALSE(std::filesystem::is_symlink(file)) << file;
  EXPECT_EQ(test::read_file(victim), "precious");
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

// Trains, stops after the first step and resumes, each in a locale of type Locale.
template <class Locale>
void train_in_locale(const SmallExperiment& e, const std::string& directory) {
  RunOptions options;
  options.directory = directory;
  int steps = 0;
  options.listener.step = [&](const TrainingListener::Step&) { ++steps; };
  options.listener.stop_requested = [&] { return steps == 1; };
  {
    [[maybe_unused]] const Locale locale;
    ASSERT_EQ(refusal(e.load({"epochs=2", "learning_rate=0.00123", "seed=123456"}), options), "");
  }
  options.resume = true;
  options.listener.stop_requested = [] { return false; };
  ASSERT_EQ(refusal(load_resolved(RunFiles(directory).config()), options), "") << "in the locale of C";
}

TEST(RunDirectory, HasTheSameBytesInEveryLocale) {
  const SmallExperiment e(1000);
  struct Plain {};
  train_in_locale<Plain>(e, e.directory / "plain");
  train_in_locale<test::CppLocale>(e, e.directory / "cpp");
  train_in_locale<test::CLocale>(e, e.directory / "c");
  for (const char* run : {"cpp", "c"}) {
    for (const char* file : {"/config.yaml", "/model.safetensors", "/result.json"}) {
      EXPECT_EQ(test::read_file(e.directory / run + file), test::read_file(e.directory / "plain" + file))
          << run << file;
    }
  }
}

TEST(RunDirectory, AModelLargerThanItsFileIsRefusedBeforeItIsMade) {
  const SmallExperiment e(1000);
  RunOptions options;
  options.directory = e.directory / "run";
  run_experiment(e.load({"epochs=1"}), options);
  const RunFiles files(options.directory);
  ExperimentConfig config = load_resolved(files.config());
  config.model.embedding_dim = 1 << 20;
  for (nn::NetworkConfig& s : config.model.students) s.hidden_units = {1 << 20, 1 << 20};
  write_file(files.config(), to_yaml(config));
  try {
    const kdef::Run run(options.directory);
    ADD_FAILURE() << "a model of terabytes was made";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("do not fit model.safetensors"), HasSubstr("too large")));
  }
}

}  // namespace
}  // namespace kdef
