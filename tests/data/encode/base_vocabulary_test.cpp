// Preparation with the vocabulary of an earlier data set (DatasetConfig::base_vocabulary, grow_vocabulary).
#include <gtest/gtest.h>

#include <map>

#include "data/encode/encoder.h"
#include "data/encode/prepare.h"
#include "tests/data/npz.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

// Day one has the words of two fields that share a table, a number and a sequence; day two has others.
class BaseVocabulary : public ::testing::Test {
 protected:
  BaseVocabulary() {
    first_.id = "day1";
    first_.train_data = dir_.file("1.csv", "label,a,b,n,s\n1,x,p,0,i^j\n0,x,q,10,i\n1,y,x,5,k^i^i\n");
    first_.fields = {field("a"), field("b"), field("n", FieldType::numeric, CellType::real),
                     field("s", FieldType::sequence)};
    first_.fields[1].share_embedding = "a";
    first_.fields[2].normalizer = Normalizer::min_max;
    second_ = first_;
    second_.id = "day2";
    second_.train_data = dir_.file("2.csv", "label,a,b,n,s\n1,z,x,20,l\n0,z,p,5,i^m\n1,w,r,0,\n0,y,w,5,m\n");
    second_.valid_data = dir_.file("2v.csv", "label,a,b,n,s\n1,x,never,5,j^never\n");
    prepare(first_, dir_ / "1");
    second_.base_vocabulary = dir_ / "1/vocabulary.kdefvoc";
  }
  using Rows = std::vector<std::vector<int32_t>>;
  static Rows ids(const std::string& path) {
    const EncodedFile file(path);
    Rows rows;
    for (int64_t r = 0; r < file.rows(); ++r) rows.emplace_back(file.ids(r), file.ids(r) + file.id_columns());
    return rows;
  }
  Prepared second(bool grow, const std::string& cache = "2") {
    second_.grow_vocabulary = grow;
    return prepare(second_, dir_ / cache);
  }

  TemporaryFolder dir_;
  DatasetConfig first_, second_;
};

TEST_F(BaseVocabulary, KeepsIdsScalesAndLengths) {
  // a and b: x 1, y 2, p 3, q 4, unknown 5; s: i 1, j 2, k 3, unknown 4, max_len 3.
  ASSERT_EQ(ids(train_file(dir_ / "1")), (Rows{{1, 3, 1, 2, 0}, {1, 4, 1, 0, 0}, {2, 1, 3, 1, 1}}));
  const Prepared p = second(false);
  EXPECT_EQ(ids(train_file(dir_ / "2")), (Rows{{5, 1, 4, 0, 0}, {5, 3, 1, 4, 0}, {5, 5, 0, 0, 0}, {2, 5, 4, 0, 0}}));
  const EncodedFile train(train_file(dir_ / "2"));
  EXPECT_EQ(*train.numerics(0), 2.0f) << "20 by the scale of day one, 0 to 10";
  EXPECT_EQ(p.map.fields[0].vocab_size, 6);
  EXPECT_EQ(p.map.fields[0].oov_idx, 0);
  EXPECT_EQ(p.map.fields[3].max_len, 3);
  EXPECT_EQ(p.seen, (std::vector<int64_t>{-1, -1, -1, -1})) << "nothing was counted";
}

TEST_F(BaseVocabulary, GrowsBehindOutOfVocabulary) {
  const Prepared p = second(true);
  // a: z twice, w once; b adds r; behind unknown 5, in the order of the fields. s: m twice, then l, behind 4.
  EXPECT_EQ(ids(train_file(dir_ / "2")), (Rows{{6, 1, 6, 0, 0}, {6, 3, 1, 5, 0}, {7, 8, 0, 0, 0}, {2, 7, 5, 0, 0}}));
  EXPECT_EQ(ids(valid_file(dir_ / "2")), (Rows{{1, 5, 2, 4, 0}})) << "old words and unknown have their old ids";
  EXPECT_EQ(p.map.fields[0].vocab_size, 9);
  EXPECT_EQ(p.map.fields[0].out_of_vocabulary(), 5);
  EXPECT_EQ(p.map.fields[1].vocab_size, 9);
  EXPECT_EQ(p.map.fields[3].vocab_size, 7);
  // A third day grows what has grown; the words of a day that is over stay.
  DatasetConfig third = first_;
  third.train_data = dir_.file("3.csv", "label,a,b,n,s\n1,new,z,1,m\n0,w,w,5,i\n");
  third.base_vocabulary = dir_ / "2/vocabulary.kdefvoc";
  third.grow_vocabulary = true;
  const Prepared last = prepare(third, dir_ / "3");
  EXPECT_EQ(ids(train_file(dir_ / "3")), (Rows{{9, 6, 5, 0, 0}, {7, 7, 1, 0, 0}}));
  EXPECT_EQ(last.map.fields[0].vocab_size, 10);
  EXPECT_EQ(last.map.fields[0].out_of_vocabulary(), 5);
  EXPECT_EQ(Encoder::load(dir_ / "3").columns()[0].vocabulary->id("never"), 5);
}

TEST_F(BaseVocabulary, NumbersHaveItsScale) {
  second(true);
  const EncodedFile train(train_file(dir_ / "2"));
  for (const auto& [row, number] : {std::pair(0, 2.0f), {1, 0.5f}, {2, 0.0f}}) {
    EXPECT_EQ(*train.numerics(row), number) << row;
  }
  second_.train_data = dir_.file("far.csv", "label,a,b,n,s\n1,z,x,20,l\n0,z,p,1e40,i^m\n");
  for (const bool grow : {true, false}) {
    second_.grow_vocabulary = grow;
    expect_error<InputError>([&] { prepare(second_, dir_ / "far"); },
                             {"far.csv:3: column n", "too far from the training rows"});
  }
}

TEST_F(BaseVocabulary, GrowingTwiceIsGrowingOnce) {
  second(true);
  const std::string grown = read_file(dir_ / "2/vocabulary.kdefvoc"), rows = read_file(train_file(dir_ / "2"));
  second_.base_vocabulary = dir_.file("grown.kdefvoc", grown);
  second(true, "again");
  EXPECT_EQ(read_file(dir_ / "again/vocabulary.kdefvoc"), grown);
  EXPECT_EQ(read_file(train_file(dir_ / "again")), rows);
}

TEST_F(BaseVocabulary, RareWordsGetNoId) {
  second_.min_categr_count = 2;
  const Prepared p = second(true);
  EXPECT_EQ(p.map.fields[0].vocab_size, 7) << "z alone is there twice in a column";
  EXPECT_EQ(p.map.fields[3].vocab_size, 6);
}

TEST_F(BaseVocabulary, ACacheIsStaleForAnotherBase) {
  EXPECT_TRUE(second(true).made);
  EXPECT_FALSE(second(true).made);
  EXPECT_TRUE(second(false).made) << "not grown";
  second(true);
  const std::string base = second_.base_vocabulary;
  second_.base_vocabulary = dir_.file("same.kdefvoc", read_file(base));
  EXPECT_FALSE(second(true).made) << "another file of the same content";
  second_.base_vocabulary = dir_ / "2/vocabulary.kdefvoc";
  EXPECT_FALSE(is_fresh(second_, dir_ / "2")) << "another content";
  second_.base_vocabulary = "";
  EXPECT_FALSE(is_fresh(second_, dir_ / "2")) << "no base";
  second_.base_vocabulary = dir_ / "missing";
  expect_error<InputError>([&] { second(true); }, {"missing"});
}

TEST_F(BaseVocabulary, ColumnsMustMeanTheSame) {
  const auto expect_refused = [&](std::initializer_list<std::string> parts) {
    expect_error<InputError>([&] { second(true, "refused"); }, parts);
  };
  const DatasetConfig good = second_;
  std::swap(second_.fields[2], second_.fields[3]);
  expect_refused({"vocabulary.kdefvoc", "column n at place 3", "column s", "same columns in the same order"});
  second_ = good;
  second_.fields.pop_back();
  expect_refused({"has column s at place 4", "has no column"});
  second_ = good;
  second_.fields.push_back(field("t"));
  second_.train_data = dir_.file("t.csv", "label,a,b,n,s,t\n1,z,x,20,l,t\n");
  second_.valid_data.clear();
  expect_refused({"has no column at place 5", "has column t"});
  second_ = good;
  second_.fields[3].padding = Padding::pre;
  expect_refused({"column s with padding \"post\"", "\"pre\""});
  second_ = good;
  second_.fields[0].fill_na = "none";
  expect_refused({"column a with fill_na null", "\"none\""});
  second_ = good;
  second_.fields[0].column = "b";  // where a cell comes from does not change what it means
  second(true);
}

TEST_F(BaseVocabulary, NumbersOfIdsGrow) {
  DatasetConfig one;
  one.id = "ids";
  one.train_data = dir_.file("ids1.csv", "label,a\n1,3\n0,1\n");
  one.fields = {field("a", FieldType::categorical, CellType::integer)};
  one.fields[0].remap = false;
  EXPECT_EQ(prepare(one, dir_ / "ids1").map.fields[0].vocab_size, 4);
  DatasetConfig two = one;
  two.train_data = dir_.file("ids2.csv", "label,a\n1,7\n0,1\n");
  two.base_vocabulary = dir_ / "ids1/vocabulary.kdefvoc";
  expect_error<InputError>([&] { prepare(two, dir_ / "ids2"); }, {"ids2.csv", "7"});
  two.grow_vocabulary = true;
  const Prepared grown = prepare(two, dir_ / "ids2");
  EXPECT_EQ(grown.map.fields[0].vocab_size, 8);
  EXPECT_EQ(grown.map.fields[0].out_of_vocabulary(), 3) << "that of the base";
  DatasetConfig third = two;
  third.train_data = dir_.file("ids4.csv", "label,a\n1,9\n");
  third.base_vocabulary = dir_ / "ids2/vocabulary.kdefvoc";
  const Prepared last = prepare(third, dir_ / "ids4");
  EXPECT_EQ(last.map.fields[0].vocab_size, 10);
  EXPECT_EQ(last.map.fields[0].out_of_vocabulary(), 3);
  two.train_data = dir_.file("ids3.csv", "label,a\n1,2\n");
  EXPECT_EQ(prepare(two, dir_ / "ids3").map.fields[0].vocab_size, 4) << "never below those of the base";
}

TEST_F(BaseVocabulary, PretrainedTablesGrowByTheirVectorsAlone) {
  const auto table = [&](const std::string& name, const std::vector<int64_t>& keys) {
    std::vector<double> values(2 * keys.size(), 0.5);
    return write_npz(dir_ / name, {{"key", npy<int64_t>("<i8", keys)}, {"value", npy<double>("<f8", values, 2)}});
  };
  DatasetConfig one;
  one.id = "vectors";
  one.train_data = dir_.file("v1.csv", "label,a\n1,5\n0,6\n");
  one.fields = {field("a", FieldType::categorical, CellType::integer)};
  one.fields[0].pretrained_emb = table("v1.npz", {5, 7});
  one.fields[0].pretrain_dim = 2;
  prepare(one, dir_ / "v1");  // 5 and 6 are 1 and 2, unknown 3, 7 is 4
  DatasetConfig two = one;
  two.train_data = dir_.file("v2.csv", "label,a\n1,9\n0,8\n1,7\n0,6\n");
  two.fields[0].pretrained_emb = table("v2.npz", {5, 7, 8});
  two.base_vocabulary = dir_ / "v1/vocabulary.kdefvoc";
  prepare(two, dir_ / "v2");
  EXPECT_EQ(ids(train_file(dir_ / "v2")), (Rows{{3}, {3}, {4}, {2}}));
  two.grow_vocabulary = true;
  prepare(two, dir_ / "v2");
  EXPECT_EQ(ids(train_file(dir_ / "v2")), (Rows{{3}, {5}, {4}, {2}})) << "9 has no vector, and stays unknown";
}

// Ids of FuxiCTR's data, of which those of words that have a vector alone stand behind out-of-vocabulary.
TEST_F(BaseVocabulary, IdsWithVectorsKeepOutOfVocabulary) {
  DatasetConfig one;
  one.id = "ids";
  one.train_data = dir_.file("i1.csv", "label,a\n1,1\n0,2\n");
  one.fields = {field("a", FieldType::categorical, CellType::integer)};
  one.fields[0].remap = false;
  one.fields[0].id_count = 4;
  one.fields[0].pretrain_dim = 2;
  one.fields[0].pretrained_emb = write_npz(
      dir_ / "vectors.npz", {{"key", npy<int64_t>("<i8", {5, 7})}, {"value", npy<double>("<f8", {1, 2, 3, 4}, 2)}});
  dir_.file("feature_vocab.json", R"({"a": {"__PAD__": 0, "5": 1, "__OOV__": 2, "7": 3}})");
  EXPECT_EQ(prepare(one, dir_ / "i1").map.fields[0].out_of_vocabulary(), 2);
  DatasetConfig two = one;
  two.train_data = dir_.file("i2.csv", "label,a\n1,5\n0,2\n");
  two.fields[0].id_count = 0;
  two.base_vocabulary = dir_ / "i1/vocabulary.kdefvoc";
  two.grow_vocabulary = true;
  const Prepared p = prepare(two, dir_ / "i2");
  EXPECT_EQ(p.map.fields[0].vocab_size, 6);
  EXPECT_EQ(p.map.fields[0].out_of_vocabulary(), 2);
  EXPECT_EQ(Encoder::load(dir_ / "i2").feature_map().fields[0].out_of_vocabulary(), 2);
}

}  // namespace
}  // namespace kdef::data
