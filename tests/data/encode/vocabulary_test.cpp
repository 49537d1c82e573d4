#include "data/encode/vocabulary.h"

#include <map>

#include "core/base/random.h"
#include "data/raw/cells.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

TEST(StringSet, NumbersInOrderOfInsertion) {
  StringSet set;
  EXPECT_EQ(set.find("a"), -1);
  EXPECT_EQ(set.insert("a"), 0);
  EXPECT_EQ(set.insert(""), 1);
  EXPECT_EQ(set.insert(std::string("a\0", 2)), 2);
  EXPECT_EQ(set.insert("a"), 0);
  EXPECT_EQ(set[2], std::string_view("a\0", 2));
  EXPECT_EQ(set.size(), 3);
}

TEST(StringSet, AgreesWithAMap) {
  StringSet set;
  std::map<std::string, int64_t> map;
  Random random(3);
  for (int i = 0; i < 100000; ++i) {
    std::string word(random.below(20), 'x');
    for (char& c : word) c = static_cast<char>('a' + random.below(3));
    const auto [at, fresh] = map.emplace(word, set.size());
    ASSERT_EQ(set.insert(word), at->second);
  }
  ASSERT_EQ(set.size(), static_cast<int64_t>(map.size()));
  for (const auto& [word, index] : map) {
    ASSERT_EQ(set.find(word), index);
    ASSERT_EQ(set[index], word);
  }
}

// Many at once are as one after the other; short, overlapping and long texts are told apart.
TEST(StringSet, ManyAtOnceAgreeWithOneByOne) {
  StringSet many, single;
  std::vector<std::string> words;
  Random random(4);
  for (int i = 0; i < 20000; ++i) {
    std::string word(random.below(2) ? random.below(13) : 250 + random.below(10), 'x');
    for (size_t k = 0; k < std::min<size_t>(word.size(), 12); ++k) word[k] = static_cast<char>(random.below(2));
    words.push_back(word);
  }
  const std::vector<std::string_view> texts(words.begin(), words.end());
  std::vector<int32_t> indices(texts.size()), found(texts.size());
  many.find(texts, found.data());
  for (int32_t index : found) ASSERT_EQ(index, -1);
  for (size_t first = 0; first < texts.size();) {
    const size_t n = std::min<size_t>(texts.size() - first, 1 + random.below(100));
    many.insert({texts.data() + first, n}, indices.data() + first);
    first += n;
  }
  for (size_t i = 0; i < texts.size(); ++i) ASSERT_EQ(indices[i], single.insert(texts[i])) << i;
  EXPECT_EQ(many.size(), single.size());
  many.find(texts, found.data());
  EXPECT_EQ(found, indices);
  const std::vector<std::string_view> others = {"absent", "y", "", std::string_view("\0", 1)};
  std::vector<int32_t> index(others.size());
  many.find(others, index.data());
  for (size_t i = 0; i < others.size(); ++i) EXPECT_EQ(index[i], single.find(others[i])) << i;
}

TEST(StringSet, EveryShortTextHasAHeadOfItsOwn) {
  for (size_t size = 0; size <= 8; ++size) {
    std::map<uint64_t, std::string> heads;
    for (uint64_t bits = 0; bits < uint64_t{1} << size; ++bits) {
      std::string text;
      for (size_t k = 0; k < size; ++k) text += bits >> k & 1 ? '\xff' : '\0';
      ASSERT_TRUE(heads.emplace(text_head(text), text).second) << size << " " << bits;
    }
  }
}

TEST(Vocabulary, ByCountThenBytes) {
  StringSet words;
  for (const char* word : {"rare", "b", "a", "na", "top"}) words.insert(word);
  Vocabulary vocabulary;
  vocabulary.add(words, {1, 5, 5, 100, 9}, 2, "na");
  EXPECT_EQ(vocabulary.size(), 5);
  EXPECT_EQ(vocabulary.id("top"), 1);
  EXPECT_EQ(vocabulary.id("a"), 2);
  EXPECT_EQ(vocabulary.id("b"), 3);
  for (const char* word : {"rare", "na", "unseen", ""}) EXPECT_EQ(vocabulary.id(word), vocabulary.out_of_vocabulary());
  EXPECT_EQ(vocabulary.out_of_vocabulary(), 4);
  const std::vector<std::string_view> together = {"b", "unseen", "top", "a"};
  std::vector<int32_t> ids(together.size());
  vocabulary.ids(together, ids.data());
  EXPECT_EQ(ids, (std::vector<int32_t>{3, 4, 1, 2}));
}

class Cells : public ::testing::Test {
 protected:
  std::string word(const FieldConfig& f, const std::string& cell) {
    CellReader::Scratch scratch;
    return std::string(CellReader(f).word(cell, {file_, 17}, scratch));
  }
  const std::string file_ = "data.csv";
};

TEST_F(Cells, NumbersAreOneCategoryHoweverWritten) {
  const FieldConfig real = field("x", FieldType::categorical, CellType::real);
  for (const char* same : {"1", "1.0", "01", "1e0", "+1", " 1 "}) EXPECT_EQ(word(real, same), "1");
  EXPECT_EQ(word(real, "-0.0"), "0");
  EXPECT_EQ(word(real, "0.10"), "0.1");
  const FieldConfig integer = field("x", FieldType::categorical, CellType::integer);
  EXPECT_EQ(word(integer, "007"), "7");
  EXPECT_EQ(word(integer, "7.0"), "7");
  EXPECT_EQ(word(integer, "9007199254740993"), "9007199254740993");  // 2^53 + 1
  expect_error<InputError>([&] { word(integer, "7.5"); }, {"data.csv:17", "column x", "'7.5'", "not an integer"});
}

TEST_F(Cells, TextInANumericField) {
  const FieldConfig real = field("price", FieldType::categorical, CellType::real);
  for (const char* bad : {"cheap", "1,5", "nan", "inf", "1x", "0x10", "1e999"}) {
    expect_error<InputError>([&] { word(real, bad); }, {"data.csv:17", "column price", "not a number", "dtype"});
  }
  expect_error<InputError>([&] { word(real, std::string("\0\xFF", 2)); }, {"'\\x00\\xff'"});
  expect_error<InputError>([&] { word(real, ""); }, {"data.csv:17", "column price", "empty", "fill_na"});
}

TEST_F(Cells, Buckets) {
  EXPECT_EQ(bucket(-3.7), -3);
  EXPECT_EQ(bucket(0), 0);
  EXPECT_EQ(bucket(1.9), 1);
  EXPECT_EQ(bucket(2), 2);
  EXPECT_EQ(bucket(2.5), 0);
  EXPECT_EQ(bucket(3), 1);
  EXPECT_EQ(bucket(100), 21);  // ln(100)^2 = 21.2
  FieldConfig f = field("I1", FieldType::categorical, CellType::real);
  f.preprocess = Preprocess::convert_to_bucket;
  f.fill_na = "0";
  EXPECT_EQ(word(f, "100"), "21");
  EXPECT_EQ(word(f, ""), "0");
  EXPECT_EQ(CellReader(f).missing(), "0");
}

TEST_F(Cells, TextPreprocessing) {
  FieldConfig country = field("isrc");
  country.preprocess = Preprocess::extract_country_code;
  EXPECT_EQ(word(country, "USUM71"), "US");
  EXPECT_EQ(word(country, ""), "");
  FieldConfig age = field("bd");
  age.preprocess = Preprocess::bucketize_age;
  const std::pair<const char*, const char*> cases[] = {{"0", ""},   {"1", "1"},  {"10", "1"}, {"11", "2"}, {"60", "6"},
                                                       {"61", "7"}, {"95", "7"}, {"96", ""},  {"", ""},    {"-3", ""}};
  for (const auto& [cell, bucket] : cases) EXPECT_EQ(word(age, cell), bucket) << cell;
}

TEST_F(Cells, ContradictorySettings) {
  FieldConfig f = field("s", FieldType::sequence, CellType::real);
  f.where = "dataset_config.yaml:12:7";
  expect_error<InputError>([&] { CellReader{f}; }, {"dataset_config.yaml:12:7", "field s", "dtype str"});
  f.cell = CellType::str;
  f.splitter = "";
  expect_error<InputError>([&] { CellReader{f}; }, {"splitter"});
  f.splitter = "^";
  f.pooling = Pooling::none;
  expect_error<InputError>([&] { CellReader{f}; }, {"pooled"});
  FieldConfig n = field("n", FieldType::categorical, CellType::real);
  n.fill_na = "none";
  expect_error<InputError>([&] { CellReader{n}; }, {"fill_na", "'none'", "number"});
}

TEST_F(Cells, Labels) {
  for (const char* one : {"1", "1.0", "1.", "1e0"})
    EXPECT_EQ(parse_label(one, LabelKind::click, "click", {file_, 5}), 1.0f);
  for (const char* zero : {"0", "0.0", "-0"}) EXPECT_EQ(parse_label(zero, LabelKind::click, "click", {file_, 5}), 0.0f);
  for (const char* bad : {"2", "", "yes", "0.5", "-1", "nan"}) {
    expect_error<InputError>(
        [&] {
          parse_label(bad, LabelKind::click, "click", {file_, 5});
        },
        {"data.csv:5", "click", "not 0 or 1"});
  }
}

}  // namespace
}  // namespace kdef::data
