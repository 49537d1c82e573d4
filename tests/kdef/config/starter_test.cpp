#include "kdef/config/starter.h"

#include <gtest/gtest.h>

#include "kdef/config/config.h"
#include "tests/kdef/support.h"

namespace kdef {
namespace {

TEST(Starter, BatchesSuitTheRows) {
  for (const int64_t rows : {40, 100, 161, 481, 1000, 1025, 20000, 57722, 80001, 591209, 40000000}) {
    const int64_t size = starter_settings(rows).batch_size;
    EXPECT_GE((rows + size - 1) / size, 20) << rows;
    EXPECT_NE(rows % size, 1) << rows;
    EXPECT_LE(size, 4097) << rows;
  }
  EXPECT_EQ(starter_settings(31958).batch_size, 512);
  EXPECT_EQ(starter_settings(591209).batch_size, 4096);
}

TEST(Starter, ModelsGrowWithTheRows) {
  int64_t last = 0;
  for (const int64_t rows : {1000, 50000, 500000, 5000000}) {
    const StarterSettings s = starter_settings(rows);
    EXPECT_GE(s.embedding_dim * s.hidden_units[0], last);
    last = s.embedding_dim * s.hidden_units[0];
  }
}

TEST(Starter, FilesReadBack) {
  data::Proposal proposal;
  data::DatasetConfig& d = proposal.dataset;
  d.id = "my clicks: 1";
  d.train_data = "a \"b\".csv";
  d.separator = "\t";
  d.label = "no";
  d.label_positive = {"yes", "\\x"};
  d.valid_size = 0.1;
  d.split_by = "when #";
  d.min_categr_count = 2;
  data::ColumnProposal list, number;
  list.why = "lists";
  list.fields.resize(1);
  list.fields[0].name = "true";
  list.fields[0].type = data::FieldType::sequence;
  list.fields[0].max_len = 3;
  number.fields.resize(1);
  number.fields[0].name = "x, y";
  number.fields[0].type = data::FieldType::numeric;
  number.fields[0].cell = data::CellType::real;
  number.fields[0].fill_na = "0.5";
  number.fields[0].na_values = {"NULL", "?"};
  number.fields[0].normalizer = data::Normalizer::standard;
  proposal.columns = {list, number};

  const test::TemporaryDirectory folder;
  test::put(folder / kDatasetYaml, starter_dataset_yaml(proposal));
  test::put(folder / kModelYaml, starter_model_yaml(proposal, 50000, "runs"));
  for (const char* experiment : {"KDEF", "single"}) {
    const ExperimentConfig read = load_experiment(folder.path(), experiment);
    EXPECT_TRUE(read.ignored.empty());
    EXPECT_TRUE(read.notes.empty());
    EXPECT_EQ(read.dataset.train_data, d.train_data);
    EXPECT_EQ(read.dataset.separator, "\t");
    EXPECT_EQ(read.dataset.label, "no");
    EXPECT_EQ(read.dataset.label_positive, d.label_positive);
    EXPECT_EQ(read.dataset.valid_size, 0.1);
    EXPECT_EQ(read.dataset.split_by, d.split_by);
    ASSERT_EQ(read.dataset.fields.size(), 2u);
    EXPECT_EQ(read.dataset.fields[0].name, "true");
    EXPECT_EQ(read.dataset.fields[0].splitter, "^");
    EXPECT_EQ(read.dataset.fields[0].max_len, 3);
    EXPECT_EQ(read.dataset.fields[1].fill_na, "0.5");
    EXPECT_EQ(read.dataset.fields[1].na_values, number.fields[0].na_values);
    EXPECT_EQ(read.model.students.size(), experiment[0] == 'K' ? 3u : 1u);
    EXPECT_EQ(read.model_root, "runs");
  }
}

}  // namespace
}  // namespace kdef
