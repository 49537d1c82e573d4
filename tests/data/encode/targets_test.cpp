#include "data/encode/targets.h"

#include "data/encode/encoder.h"
#include "data/encode/prepare.h"
#include "data/feed/batching.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

class TargetsTest : public ::testing::Test {
 protected:
  // The group is a field too, the weight is not.
  TargetsTest() {
    config_.id = "set";
    config_.train_data = dir_.file("train.csv", "y,user,w\n1,ann,0.5\n0,bob,2\n1,ann,0\n0,,1e-3\n");
    config_.valid_data = dir_.file("valid.csv", "w,user,y\n1,cid,0\n3,bob,1\n1,cid,1\n");
    config_.label = "y";
    config_.weight = "w";
    config_.group = "user";
    config_.fields = {field("user")};
  }
  PreparedData prepared() const { return prepare_and_open(config_, dir_ / "cache"); }
  static std::vector<float> weights(const EncodedFile& file) {
    std::vector<float> all;
    for (int64_t row = 0; row < file.rows(); ++row) all.push_back(file.weight(row));
    return all;
  }
  static std::vector<int64_t> groups(const EncodedFile& file) {
    std::vector<int64_t> all;
    for (int64_t row = 0; row < file.rows(); ++row) all.push_back(file.group(row));
    return all;
  }

  TemporaryFolder dir_;
  DatasetConfig config_;
};

TEST_F(TargetsTest, TheCacheHasWeightsAndGroups) {
  const PreparedData data = prepared();
  data.verify();
  EXPECT_EQ(weights(*data.train), (std::vector<float>{0.5, 2, 0, 1e-3f}));
  EXPECT_EQ(weights(*data.valid), (std::vector<float>{1, 3, 1}));
  // Equal texts are one group in all files of the data set; an empty cell is a text too.
  EXPECT_EQ(groups(*data.train), (std::vector<int64_t>{0, 1, 0, 2}));
  EXPECT_EQ(groups(*data.valid), (std::vector<int64_t>{3, 1, 3}));
  EXPECT_EQ(data.train->label(0), 1);
  EXPECT_EQ(data.train->ids(2)[0], 1);
}

TEST_F(TargetsTest, AnInputTellsGroupsApartByItsIds) {
  config_.group_by_id = true;
  const PreparedData data = prepared();
  data.verify();
  EXPECT_EQ(groups(*data.train), (std::vector<int64_t>{1, 2, 1, 3})) << "no user: out of vocabulary";
  EXPECT_EQ(groups(*data.valid), (std::vector<int64_t>{3, 2, 3})) << "cid: likewise";
  const std::string file = dir_ / "cache" + std::string("/") + Encoder::kFileName;
  const Encoder encoder = Encoder::load(file);
  EXPECT_TRUE(encoder.config().group_by_id);
  RawFile rows(encoder, config_.valid_data, true);
  Batch batch;
  ASSERT_TRUE(rows.next(batch));
  EXPECT_EQ(batch.groups, (std::vector<int64_t>{3, 2, 3}));

  config_.fields[0].type = FieldType::sequence;
  config_.fields[0].max_len = 1;
  EXPECT_THROW(prepared(), InputError);
}

TEST_F(TargetsTest, NumbersTellGroupsApart) {
  config_.group_by_id = true;
  config_.group = "x";
  config_.train_data = dir_.file("train.csv", "y,user,w,x\n1,a,1,0.5\n0,b,1,0\n1,a,1,-0.0\n0,b,1,0.50\n");
  config_.valid_data.clear();
  config_.fields = {field("user"), field("x", FieldType::numeric)};
  const PreparedData data = prepared();
  const std::vector<int64_t> all = groups(*data.train);
  EXPECT_EQ(all[0], all[3]);
  EXPECT_EQ(all[1], all[2]);
  EXPECT_NE(all[0], all[1]);
}

TEST_F(TargetsTest, AWeightThatIsAnInputIsTold) {
  EXPECT_TRUE(prepared().summary.warnings.empty());
  config_.fields.push_back(field("w", FieldType::numeric, CellType::real));
  const PreparedData data = prepared();
  ASSERT_EQ(data.summary.warnings.size(), 1u);
  EXPECT_NE(data.summary.warnings[0].find("column w: is the weight of the rows and an input, too"), std::string::npos);
}

TEST_F(TargetsTest, OnlyWhatTheDataSetHas) {
  config_.weight.clear();
  PreparedData data = prepared();
  EXPECT_EQ(groups(*data.train), (std::vector<int64_t>{0, 1, 0, 2}));
  EXPECT_EQ(data.train->row_bytes(), 12);
  config_.group.clear();
  data = prepared();
  EXPECT_EQ(data.train->layout(), (RowLayout{1, 0}));
  EXPECT_EQ(data.train->row_bytes(), 8);
  config_.weight = "w";
  data = prepared();
  EXPECT_EQ(weights(*data.train), (std::vector<float>{0.5, 2, 0, 1e-3f}));
  EXPECT_EQ(data.train->row_bytes(), 12);
}

TEST_F(TargetsTest, BatchesCarryThem) {
  const PreparedData data = prepared();
  Loader loader(*data.train, 3, true, 7);
  loader.start_epoch(0);
  Batch batch;
  int64_t rows = 0;
  while (loader.next(batch)) {
    ASSERT_EQ(batch.weights.size(), static_cast<size_t>(batch.rows));
    ASSERT_EQ(batch.groups.size(), static_cast<size_t>(batch.rows));
    for (size_t b = 0; b < batch.weights.size(); ++b, ++rows) {
      // Of these rows the id tells the group: ann has id 1, bob 2, nobody 3 (out of vocabulary).
      EXPECT_EQ(batch.groups[b], batch.ids[b] - 1);
      EXPECT_TRUE(batch.ids[b] != 2 || batch.weights[b] == 2);
      EXPECT_TRUE(batch.ids[b] != 3 || batch.weights[b] == 1e-3f);
    }
  }
  EXPECT_EQ(rows, 4);
}

TEST_F(TargetsTest, RawRowsHaveThemWhereTheLabelIsNeeded) {
  prepared();
  const Encoder encoder = Encoder::load(dir_ / "cache");
  EXPECT_EQ(encoder.layout(), (RowLayout{1, 0, true, true}));
  Batch batch;
  RawFile labelled(encoder, config_.valid_data, true);
  ASSERT_TRUE(labelled.next(batch, 2));
  EXPECT_EQ(batch.weights, (std::vector<float>{1, 3}));
  EXPECT_EQ(batch.groups, (std::vector<int64_t>{0, 1}));
  ASSERT_TRUE(labelled.next(batch, 2));
  EXPECT_EQ(batch.weights, (std::vector<float>{1}));
  EXPECT_EQ(batch.groups, (std::vector<int64_t>{0}));
  const std::string bare = dir_.file("bare.csv", "user,y\nann,1\n");
  expect_error<InputError>([&] { RawFile(encoder, bare, true); }, {"bare.csv", "no column 'w'"});
  RawFile inputs(encoder, bare, false);
  ASSERT_TRUE(inputs.next(batch));
  EXPECT_TRUE(batch.labels.empty());
  EXPECT_TRUE(batch.weights.empty());
  EXPECT_TRUE(batch.groups.empty());
}

// Groups are numbered in the order of the file, though threads encode its chunks in any order.
TEST_F(TargetsTest, GroupsOfALargeFile) {
  std::string text = "y,user,w\n";
  constexpr int kRows = 150000;
  for (int i = 0; i < kRows; ++i) text += "1,user" + std::to_string(i / 2 % 30000) + ",1\n";
  config_.train_data = dir_.file("large.csv", text);
  config_.valid_data = config_.train_data;
  const PreparedData data = prepared();
  const Encoder encoder = Encoder::load(dir_ / "cache");
  RawFile raw(encoder, config_.train_data, true);
  Batch batch;
  int64_t row = 0;
  while (raw.next(batch)) {
    for (int64_t group : batch.groups) ASSERT_EQ(group, row++ / 2 % 30000);
  }
  EXPECT_EQ(row, kRows);
  for (const EncodedFile* file : {&*data.train, &*data.valid}) {
    for (row = 0; row < kRows; ++row) ASSERT_EQ(file->group(row), row / 2 % 30000) << row;
  }
}

TEST_F(TargetsTest, BadWeightsAreNamed) {
  for (const char* bad : {"-1", "nan", "inf", "1e39", "", "much"}) {
    config_.train_data = dir_.file("bad.csv", std::string("y,user,w\n1,a,1\n1,b,") + bad + "\n");
    expect_error<InputError>([&] { prepared(); },
                             {"bad.csv:3", "weight column w", "from 0 to 3.4e38", "correct the row"});
  }
  config_.weight = "cost";
  expect_error<InputError>([&] { prepared(); }, {"no column 'cost'"});
  config_.weight = "y";
  expect_error<InputError>([&] { prepared(); }, {"column y", "label and the weight", "weight_col"});
}

TEST_F(TargetsTest, LabelsThatAreNumbers) {
  config_.train_data = dir_.file("numbers.csv", "y,user,w\n3.25,a,1\n-1e3,b,1\n1,c,1\n");
  config_.valid_data = config_.train_data;
  expect_error<InputError>([&] { prepared(); }, {"numbers.csv:2", "label column y", "'3.25'", "not 0 or 1"});
  config_.label_kind = LabelKind::number;
  const PreparedData data = prepared();
  for (const EncodedFile* file : {&*data.train, &*data.valid}) {
    EXPECT_EQ(file->label(0), 3.25f);
    EXPECT_EQ(file->label(1), -1000);
    EXPECT_EQ(file->label(2), 1);
  }
  const Encoder encoder = Encoder::load(dir_ / "cache");
  EXPECT_EQ(encoder.config().label_kind, LabelKind::number);
  Batch batch;
  ASSERT_TRUE(RawFile(encoder, config_.train_data, true).next(batch));
  EXPECT_EQ(batch.labels, (std::vector<float>{3.25, -1000, 1}));
  for (const char* bad : {"nan", "1e39", "yes"}) {
    config_.train_data = dir_.file("bad.csv", std::string("y,user,w\n") + bad + ",a,1\n");
    expect_error<InputError>([&] { prepared(); }, {"bad.csv:2", "label column y", "not a number of at most 3.4e38"});
  }
}

TEST_F(TargetsTest, AChangeMakesTheCacheStale) {
  prepared();
  EXPECT_TRUE(is_fresh(config_, dir_ / "cache"));
  DatasetConfig other = config_;
  other.weight.clear();
  EXPECT_FALSE(is_fresh(other, dir_ / "cache"));
  other = config_;
  other.group = "w";
  EXPECT_FALSE(is_fresh(other, dir_ / "cache"));
  other = config_;
  other.label_kind = LabelKind::number;
  EXPECT_FALSE(is_fresh(other, dir_ / "cache"));
}

}  // namespace
}  // namespace kdef::data
