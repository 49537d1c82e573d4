#include "kdef/measure/importance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "tests/kdef/support.h"

namespace kdef {
namespace {

// `user` alone decides the click; `noise` says nothing, and `same` is one value.
class ImportanceTest : public testing::Test {
 protected:
  ImportanceTest() {
    std::ofstream out(dir_ / "rows.csv");
    out << "label,user,noise,x,same\n";
    for (int row = 0; row < 3000; ++row) {
      const int user = row * 7919 % 31;
      out << (user % 2) << ",u" << user << ",n" << row % 5 << "," << row % 11 << ",s\n";
    }
    out.close();
    test::put(dir_ / "dataset_config.yaml",
              "d:\n  data_root: " + (dir_ / "cache") + "\n  train_data: " + (dir_ / "rows.csv") +
                  "\n  valid_size: 0.2\n  label_col: label\n  feature_cols:\n    - {name: [user, noise, same], type: "
                  "categorical, dtype: str}\n"
                  "    - {name: x, type: numeric, dtype: float, fill_na: 0, normalizer: StandardScaler}\n");
    test::put(dir_ / "model_config.yaml",
              "e: {model: KDEF, dataset_id: d, hidden_units: [16], embedding_dim: 4, batch_size: 64, epochs: 3, "
              "learning_rate: 1e-2, num_student: 2}\n");
    RunOptions options;
    options.directory = dir_ / "run";
    run_experiment(load_experiment(dir_.path(), "e"), options);
  }
  data::Batch rows(const kdef::Run& run) const {
    data::RawFile file(run.encoder(), dir_ / "rows.csv", true);
    data::Batch batch;
    EXPECT_TRUE(file.next(batch, 1000));
    return batch;
  }
  static const FieldImportance& field(const Importance& importance, const std::string& name) {
    return *std::find_if(importance.fields.begin(), importance.fields.end(),
                         [&](const FieldImportance& f) { return f.name == name; });
  }
  test::TemporaryDirectory dir_;
};

TEST_F(ImportanceTest, TheFieldThatDecidesIsTheOneThatCounts) {
  const kdef::Run run(dir_ / "run");
  const data::Batch batch = rows(run);
  const Importance i =
      measure_importance(run.model(), run.encoder().feature_map(), batch, 128, 4, 1, metrics_of(run.model().task()));
  EXPECT_EQ(i.fields.size(), 4u);
  EXPECT_GT(i.quality["auc"], 0.95);
  const auto change = [&](const char* name, const char* metric) { return field(i, name).change[metric]; };
  EXPECT_NEAR(change("user", "auc"), 0.5 - i.quality["auc"], 0.06);  // what is left knows nothing
  EXPECT_GT(change("user", "logloss"), 0.3);
  EXPECT_GT(field(i, "user").deviation["auc"], 0);
  EXPECT_NEAR(change("noise", "auc"), 0, 0.02);
  EXPECT_EQ(change("same", "auc"), 0);
  EXPECT_EQ(change("same", "logloss"), 0);
  EXPECT_EQ(field(i, "same").deviation["auc"], 0);
}

TEST_F(ImportanceTest, IsReadAsItIsWritten) {
  const kdef::Run run(dir_ / "run");
  const data::Batch batch = rows(run);
  Importance i =
      measure_importance(run.model(), run.encoder().feature_map(), batch, 128, 2, 1, metrics_of(run.model().task()));
  i.data = "rows.csv";
  const std::string file = test::put(dir_ / "importance.json", to_json(i));
  const Importance read = read_importance(file);
  EXPECT_EQ(to_json(read), to_json(i));
  EXPECT_EQ(read.data, "rows.csv");
  EXPECT_EQ(field(read, "user").change["auc"], field(i, "user").change["auc"]);
  test::put(file, R"({"rows":1,"shuffles":1,"quality":{},"fields":[{"name":1}]})");
  EXPECT_THROW(read_importance(file), InputError);
}

TEST_F(ImportanceTest, TheSameSeedGivesTheSame) {
  const kdef::Run run(dir_ / "run");
  const data::Batch batch = rows(run);
  const auto with = [&](int64_t batch_size, uint64_t seed) {
    return measure_importance(run.model(), run.encoder().feature_map(), batch, batch_size, 2, seed,
                              metrics_of(run.model().task()));
  };
  EXPECT_EQ(to_json(with(100, 1)), to_json(with(1000, 1)));
  EXPECT_NE(to_json(with(100, 1)), to_json(with(100, 2)));
}

}  // namespace
}  // namespace kdef
