// The table of a run's files is complete, and its marks are true.
#include "kdef/train/run_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kdef/support.h"

namespace kdef {
namespace {

using test::SmallExperiment;
using testing::UnorderedElementsAreArray;

std::vector<std::string> files_below(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  return files;
}

TEST(RunFiles, ATrainingLeavesTheFilesOfTheTableAndNoOther) {
  const SmallExperiment e(1000);
  const RunFiles files(e.directory / "run");
  RunOptions options;
  options.directory = files.directory();
  run_experiment(e.load({"epochs=1", "collapse_every=1"}), options);
  // kdef importance measures a model that is there.
  std::vector<std::string> left = files.all();
  ASSERT_EQ(std::erase(left, files.importance()), 1u);
  EXPECT_THAT(files_below(files.directory()), UnorderedElementsAreArray(left));

  // A new training removes what is of the older one and it does not write.
  test::put(files.importance(), "of the older model");
  options.overwrite = true;
  run_experiment(e.load({"epochs=1"}), options);
  ASSERT_EQ(std::erase(left, files.collapse_history()), 1u);
  EXPECT_THAT(files_below(files.directory()), UnorderedElementsAreArray(left));

  // The files that are marked so suffice to predict, and each is needed.
  const RunFiles copy(e.directory / "copy");
  std::filesystem::create_directories(copy.directory());
  for (const std::string& file : copy.to_predict()) {
    EXPECT_THROW(kdef::Run(copy.directory()), InputError) << file;
    std::filesystem::copy_file(files.directory() + "/" + copy.name(file), file);
  }
  EXPECT_EQ(kdef::Run(copy.directory()).model().student_count(), 3u);
}

TEST(RunFiles, EveryNameStandsInTheTableOnce) {
  const RunFiles files("run");
  EXPECT_THAT(files.all(),
              UnorderedElementsAreArray({files.config(), files.vocabulary(), files.metrics(), files.model(),
                                         files.checkpoint(), files.collapse(), files.collapse_history(), files.result(),
                                         files.data(), files.baseline(), files.importance()}));
  EXPECT_EQ(files.checkpoint().rfind(files.checkpoint_folder() + "/", 0), 0u);
  EXPECT_EQ(files.name(files.config()), "config.yaml");
}

TEST(RunFiles, EventFilesAreTold) {
  const RunFiles files("run");
  EXPECT_TRUE(RunFiles::is_events(files.name(files.events(1700000000))));
  EXPECT_FALSE(RunFiles::is_events("events.out.tfevents.1700000000.host"));
  EXPECT_FALSE(RunFiles::is_events(files.name(files.result())));
}

}  // namespace
}  // namespace kdef
