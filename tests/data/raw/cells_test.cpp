#include "data/raw/cells.h"

#include "tests/data/support.h"

namespace kdef::data {
namespace {

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
  DatasetConfig config;
  config.label = "click";
  const auto label = [&](std::string_view cell) { return parse_label(cell, config, {file_, 5}); };
  for (const char* one : {"1", "1.0", "1.", "1e0"}) EXPECT_EQ(label(one), 1.0f);
  for (const char* zero : {"0", "0.0", "-0"}) EXPECT_EQ(label(zero), 0.0f);
  for (const char* bad : {"2", "yes", "0.5", "-1", "nan"}) {
    expect_error<InputError>([&] { label(bad); },
                             {"data.csv:5", "click", "not 0 or 1", "positive: [VALUE, ..]", "threshold: NUMBER"});
  }
  expect_error<InputError>([&] { label(""); }, {"data.csv:5", "click", "the cell is empty"});

  config.label_positive = {"yes", "1"};
  EXPECT_EQ(label("yes"), 1.0f);
  EXPECT_EQ(label("1"), 1.0f);
  for (const char* other : {"no", "0", "-1", "Yes", "1.0"}) EXPECT_EQ(label(other), 0.0f);
  expect_error<InputError>([&] { label(""); }, {"data.csv:5", "the cell is empty"});

  config.label_positive = {};
  config.label_threshold = 0.5;
  for (const char* click : {"1", "3", "0.6"}) EXPECT_EQ(label(click), 1.0f);
  for (const char* none : {"0", "-1", "0.5"}) EXPECT_EQ(label(none), 0.0f);
  expect_error<InputError>([&] { label("many"); }, {"data.csv:5", "not a finite number"});
}

TEST_F(Cells, LabelsThatAreNumbers) {
  DatasetConfig config;
  config.label = "price";
  config.label_kind = LabelKind::number;
  const auto label = [&](const char* cell) { return parse_label(cell, config, {file_, 5}); };
  EXPECT_EQ(label("0"), 0);
  EXPECT_EQ(label("-2.5"), -2.5f);
  EXPECT_EQ(label("1e30"), 1e30f);
  for (const char* bad : {"inf", "1e39", "high"}) {
    expect_error<InputError>([&] { label(bad); }, {"data.csv:5", "price", "not a finite number"});
  }
  expect_error<InputError>([&] { label(""); }, {"data.csv:5", "price", "the cell is empty"});
}

TEST_F(Cells, Weights) {
  const auto weight = [&](const char* cell) { return parse_weight(cell, "w", {file_, 5}); };
  EXPECT_EQ(weight("0"), 0);
  EXPECT_EQ(weight("2.5"), 2.5f);
  for (const char* bad : {"", "-1", "nan", "1e39", "heavy"}) {
    expect_error<InputError>([&] { weight(bad); }, {"data.csv:5", "weight column w", ">= 0"});
  }
}

TEST_F(Cells, TokensOfASequence) {
  FieldConfig f = field("s", FieldType::sequence);
  f.splitter = "||";
  f.fill_na = "none";
  const CellReader cells(f);
  const auto tokens = [&](std::string_view cell) {
    std::vector<std::string> all;
    cells.tokens(cell, [&](std::string_view token) { all.emplace_back(token); });
    return all;
  };
  EXPECT_EQ(tokens("a||b"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(tokens("a|b"), (std::vector<std::string>{"a|b"}));
  EXPECT_EQ(tokens(""), (std::vector<std::string>{""}));
  EXPECT_EQ(tokens("none||a||"), (std::vector<std::string>{"", "a", ""}));
}

TEST_F(Cells, TextForMessages) {
  EXPECT_EQ(printable("a b"), "'a b'");
  EXPECT_EQ(printable("\x1b[2J"), "'\\x1b[2J'");
  EXPECT_EQ(printable(std::string(41, 'x')), "'" + std::string(40, 'x') + "...'");
}

}  // namespace
}  // namespace kdef::data
