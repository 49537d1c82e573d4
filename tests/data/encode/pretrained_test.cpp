#include "data/encode/pretrained.h"

#include <map>

#include "data/encode/encoder.h"
#include "data/encode/feature_map.h"
#include "data/encode/prepare.h"
#include "tests/data/npz.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

class Pretrained : public ::testing::Test {
 protected:
  Pretrained() {
    config_.id = "set";
    config_.train_data = dir_.file("train.csv", "label,a,s\n1,5,x^y\n0,5,x\n1,7,z\n");
    config_.valid_data = dir_.file("valid.csv", "label,a,s\n1,9,new\n0,8,w\n1,7,y\n");
    config_.fields = {field("a", FieldType::categorical, CellType::integer), field("s", FieldType::sequence)};
    config_.fields[1].max_len = 2;
    config_.min_categr_count = 2;
    set(0, table("a.npz", npy<int64_t>("<i8", {7, 5, 9})));
    set(1, table("s.npz", npy_bytes("|S1", "(3,)", "wyx")));
  }
  // A table of three keys with the vectors (1, 2), (3, 4), (5, 6).
  std::string table(const std::string& name, const std::string& keys) {
    return write_npz(dir_ / name, {{"key", keys}, {"value", npy<double>("<f8", {1, 2, 3, 4, 5, 6}, 2)}});
  }
  void set(size_t f, const std::string& path) {
    config_.fields[f].pretrained_emb = path;
    config_.fields[f].pretrain_dim = 2;
  }
  Prepared made() { return prepare(config_, dir_ / "cache"); }
  std::vector<std::vector<int32_t>> ids(const std::string& path) {
    const EncodedFile file(path);
    std::vector<std::vector<int32_t>> rows;
    for (int64_t r = 0; r < file.rows(); ++r) rows.emplace_back(file.ids(r), file.ids(r) + file.id_columns());
    return rows;
  }

  TemporaryFolder dir_;
  DatasetConfig config_;
};

using Rows = std::vector<std::vector<int32_t>>;

TEST_F(Pretrained, KeysThatRowsLackStandBehindOutOfVocabulary) {
  const Prepared p = made();
  // a: 5 twice is 1, unknown 2, then 7 (too rare) and 9 of the table; s: x is 1, unknown 2, then w and y of the table.
  EXPECT_EQ(p.map.fields[0].vocab_size, 5);
  EXPECT_EQ(p.map.fields[0].oov_idx, 2);
  EXPECT_EQ(p.map.fields[0].out_of_vocabulary(), 2);
  EXPECT_EQ(p.map.fields[1].vocab_size, 5);
  EXPECT_EQ(ids(train_file(dir_ / "cache")), (Rows{{1, 1, 4}, {1, 1, 0}, {3, 2, 0}}));
  EXPECT_EQ(ids(valid_file(dir_ / "cache")), (Rows{{4, 2, 0}, {2, 3, 0}, {3, 4, 0}}));
  const Encoder encoder = Encoder::load(dir_ / "cache");
  EXPECT_EQ(to_json(encoder.feature_map()), to_json(p.map));
  EXPECT_EQ(to_json(load_feature_map(dir_ / "cache/kdef_feature_map.json")), to_json(p.map));
  RawFile rows(encoder, config_.valid_data, true);
  Batch batch;
  ASSERT_TRUE(rows.next(batch));
  EXPECT_EQ(batch.ids, (std::vector<int32_t>{4, 2, 0, 2, 3, 0, 3, 4, 0}));
}

TEST_F(Pretrained, AFillThatIsAKeyOfTheTableIsAWord) {
  config_.train_data = dir_.file("train.csv", "label,a,s\n1,5,x\n0,5,x\n1,,x\n");
  config_.valid_data = dir_.file("valid.csv", "label,a,s\n1,9,x\n0,8,x\n");
  config_.fields[0].fill_na = "9";
  const Prepared p = made();
  // 5 is 1, unknown 2, then 7 and 9 of the table. The empty cell is read as 9.
  EXPECT_EQ(p.map.fields[0].vocab_size, 5);
  EXPECT_EQ(ids(train_file(dir_ / "cache"))[2][0], 4);
  EXPECT_EQ(ids(valid_file(dir_ / "cache"))[0][0], 4);
  EXPECT_EQ(ids(valid_file(dir_ / "cache"))[1][0], 2);
}

TEST_F(Pretrained, ColumnsThatShareATableHaveOneFile) {
  config_.train_data = dir_.file("train.csv", "label,a,s\n1,5,7^5\n0,5,8\n1,7,8\n");
  config_.valid_data = dir_.file("valid.csv", "label,a,s\n1,9,11\n0,8,9^5\n");
  config_.fields[1].share_embedding = "a";
  set(1, config_.fields[0].pretrained_emb);
  const Prepared p = made();
  // 5 of a is 1, 8 of s is 2, unknown 3, then 7 and 9 of the table.
  EXPECT_EQ(p.map.fields[0].vocab_size, 6);
  EXPECT_EQ(p.map.fields[0].oov_idx, 3);
  EXPECT_EQ(p.map.fields[1].vocab_size, 6);
  EXPECT_EQ(ids(train_file(dir_ / "cache")), (Rows{{1, 4, 1}, {1, 2, 0}, {4, 2, 0}}));
  EXPECT_EQ(ids(valid_file(dir_ / "cache")), (Rows{{5, 3, 0}, {2, 5, 1}}));
}

TEST_F(Pretrained, VectorsOfAnHdf5File) {
  set(0, std::string(KDEF_SOURCE_DIR) + "/tests/fixtures/h5/table.h5");
  EXPECT_EQ(made().map.fields[0].vocab_size, 5);
  std::map<std::string, std::vector<float>> found;
  read_pretrained(config_.fields[0], true, [&](std::string_view word, std::span<const float> vector) {
    found.emplace(word, std::vector<float>(vector.begin(), vector.end()));
  });
  EXPECT_EQ(found, (std::map<std::string, std::vector<float>>{{"7", {1, 2}}, {"5", {3, 4}}, {"9", {5, 6}}}));
}

TEST_F(Pretrained, VectorsAreGivenByWord) {
  std::map<std::string, std::vector<float>> found;
  read_pretrained(config_.fields[0], true, [&](std::string_view word, std::span<const float> vector) {
    found.emplace(word, std::vector<float>(vector.begin(), vector.end()));
  });
  EXPECT_EQ(found, (std::map<std::string, std::vector<float>>{{"7", {1, 2}}, {"5", {3, 4}}, {"9", {5, 6}}}));
}

TEST_F(Pretrained, TheCacheFollowsTheContentOfTheTable) {
  EXPECT_TRUE(made().made);
  EXPECT_FALSE(made().made);
  table("a.npz", npy<int64_t>("<i8", {7, 5, 9}));
  EXPECT_FALSE(made().made) << "the same bytes again";
  table("a.npz", npy<int64_t>("<i8", {7, 5, 11}));
  EXPECT_TRUE(made().made);
  EXPECT_EQ(ids(valid_file(dir_ / "cache"))[0][0], 2) << "9 is unknown now";
}

TEST_F(Pretrained, WhatIsRefused) {
  const auto refused = [&](std::initializer_list<std::string> parts) {
    expect_error<InputError>(
        [&] {
          for (const FieldConfig& f : config_.fields) {
            if (!f.pretrained_emb.empty()) read_pretrained(f, true, [](auto, auto) {});
          }
          made();
        },
        parts);
  };
  set(0, table("a.npz", npy<int64_t>("<i8", {7, 5, 7})));
  refused({"a.npz:3: the key '7' stands in the file twice"});
  set(0, table("a.npz", npy<int64_t>("<i8", {7, 5, 9})));
  config_.fields[0].pretrain_dim = 3;
  refused({"a.npz:1: the vector has 2 numbers; pretrain_dim of column a is 3"});
  set(0, write_npz(dir_ / "b.npz", {{"key", npy<int64_t>("<i8", {1})}, {"values", npy<float>("<f4", {1, 2}, 2)}}));
  refused({"b.npz: no column 'value'", "did you mean 'values'"});
  set(0,
      write_npz(dir_ / "b.npz", {{"key", npy<int64_t>("<i8", {1})}, {"value", npy<float>("<f4", {1, INFINITY}, 2)}}));
  refused({"b.npz:1: the vector holds a number that is missing or not finite"});
  set(0, dir_.file("table.csv", "key,value\n1,2\n"));
  refused({"table.csv: is text; write the table as .npz, .h5 or Parquet"});
  set(0, dir_ / "a.npz");
  config_.fields[1].share_embedding = "a";
  refused({"field s: uses the table of a, which has another pretrained_emb; one table has one file of vectors"});
  config_.fields[0].pretrained_emb = "";
  refused({"field s: uses the table of a, which has no pretrained_emb"});
  config_.fields.erase(config_.fields.begin());
  config_.fields[0].share_embedding = "";
  config_.fields[0].remap = false;
  config_.fields[0].id_count = 9;
  refused({"column s: the keys of ", " are words, and the cells are ids; ",
           "feature_vocab.json, which has the id of every word"});
  config_.fields[0].type = FieldType::numeric;
  refused({"pretrained_emb needs a categorical or sequence field"});
}

}  // namespace
}  // namespace kdef::data
