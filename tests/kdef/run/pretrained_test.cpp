#include "kdef/run/pretrained.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/io/safetensors.h"
#include "data/encode/encoder.h"
#include "kdef/run/run.h"
#include "tests/data/npz.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

using testing::ElementsAre;

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

}  // namespace
}  // namespace kdef
