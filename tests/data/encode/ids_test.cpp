// Columns whose cells are ids: FieldConfig::remap is false.
#include "data/encode/encoder.h"
#include "data/encode/prepare.h"
#include "tests/data/npz.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

class Ids : public ::testing::Test {
 protected:
  static FieldConfig ids(const std::string& name, int64_t count = 0, FieldType type = FieldType::categorical) {
    FieldConfig f = field(name, type);
    f.remap = false;
    f.id_count = count;
    return f;
  }
  DatasetConfig config(const std::string& train, std::vector<FieldConfig> fields) {
    DatasetConfig c;
    c.id = "set";
    c.train_data = train;
    c.fields = std::move(fields);
    return c;
  }
  std::vector<std::vector<int32_t>> rows(const std::string& path) const {
    const EncodedFile file(path);
    std::vector<std::vector<int32_t>> all;
    for (int64_t r = 0; r < file.rows(); ++r) all.emplace_back(file.ids(r), file.ids(r) + file.id_columns());
    return all;
  }

  TemporaryFolder dir_;
};

using Rows = std::vector<std::vector<int32_t>>;

TEST_F(Ids, AreWhatTheCellsSay) {
  FieldConfig tags = ids("tags", 0, FieldType::sequence), filled = ids("filled", 9);
  tags.share_embedding = "a";
  tags.padding = Padding::pre;
  filled.fill_na = "5";
  DatasetConfig c = config(dir_.file("train.csv", "label,a,b,tags,filled\n1,3,700,1^2,8\n0,0,70000,9,\n1,3.0,0,,0\n"),
                           {ids("a"), ids("b", 70001), tags, filled});
  c.valid_data = dir_.file("valid.csv", "label,a,b,tags,filled\n1,9,1,1^2^3,1\n");
  c.min_categr_count = 2;  // has no effect on ids
  const Prepared p = prepare(c, dir_ / "cache");
  EXPECT_EQ(rows(train_file(dir_ / "cache")), (Rows{{3, 700, 1, 2, 8}, {0, 70000, 0, 9, 5}, {3, 0, 0, 0, 0}}));
  EXPECT_EQ(rows(valid_file(dir_ / "cache")), (Rows{{9, 1, 2, 3, 1}}));
  std::vector<int64_t> sizes;
  for (const Field& f : p.map.fields) sizes.push_back(f.vocab_size);
  EXPECT_EQ(sizes, (std::vector<int64_t>{10, 70001, 10, 9})) << "tags has the largest id of the table that it shares";
  EncodedFile(train_file(dir_ / "cache")).verify(p.map);
  EXPECT_FALSE(prepare(c, dir_ / "cache").made);
  // The file of the encoder knows the ids, and so encodes further rows.
  const Encoder encoder = Encoder::load(dir_ / "cache");
  RawFile further(encoder, c.valid_data, true);
  Batch batch;
  ASSERT_TRUE(further.next(batch));
  EXPECT_EQ(batch.ids, (std::vector<int32_t>{9, 1, 2, 3, 1}));
}

TEST_F(Ids, OfTypedColumns) {
  const std::string path = write_npz(dir_ / "rows.npz", {{"label", npy<float>("<f4", {1, 0})},
                                                         {"a", npy<int64_t>("<i8", {3, 1})},
                                                         {"b", npy<double>("<f8", {2, 0})},
                                                         {"s", npy<int32_t>("<i4", {0, 7, 5, 6}, 2)}});
  const Prepared p = prepare(config(path, {ids("a", 4), ids("b"), ids("s", 8, FieldType::sequence)}), dir_ / "cache");
  EXPECT_EQ(rows(train_file(dir_ / "cache")), (Rows{{3, 2, 0, 7}, {1, 0, 5, 6}}));
  EXPECT_EQ(p.map.fields[1].vocab_size, 3);
}

TEST_F(Ids, WhatIsNone) {
  const auto refused = [&](const std::string& cell, const FieldConfig& f, std::initializer_list<std::string> parts) {
    const DatasetConfig c = config(dir_.file("train.csv", "label,a\n1,1\n0," + cell + "\n"), {f});
    expect_error<InputError>([&] { prepare(c, dir_ / "cache"); }, parts);
  };
  refused("4", ids("a", 4), {"train.csv:3: column a: '4' is not an id: an integer from 0 to 3", "vocab_size"});
  refused("-1", ids("a"), {"'-1' is not an id: an integer from 0 to 2147483644", "remap: true"});
  refused("1.5", ids("a"), {"'1.5' is not an id"});
  refused("x", ids("a"), {"'x' is not an id"});
  refused("2147483645", ids("a"), {"is not an id"});
  refused("", ids("a"), {"the cell is empty", "fill_na"});
  refused("1^4", ids("a", 4, FieldType::sequence), {"'4' is not an id"});
  FieldConfig shares = field("b");
  shares.share_embedding = "a";
  const DatasetConfig c = config(dir_.file("train.csv", "label,a,b\n1,1,1\n"), {ids("a"), shares});
  expect_error<InputError>([&] { prepare(c, dir_ / "cache"); }, {"field b: shares the embedding of a", "remap"});
}

}  // namespace
}  // namespace kdef::data
