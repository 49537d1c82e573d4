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

// Ids that fp64 merges keep their digits, or are refused.
TEST_F(Cells, IntegersKeepAll64Bits) {
  for (const CellType type : {CellType::integer, CellType::real}) {
    const FieldConfig id = field("id", FieldType::categorical, type);
    for (const char* exact : {"9007199254740993", "-9007199254740993", "9223372036854775807", "9223372036854775808",
                              "18446744073709551615", "-9223372036854775808"}) {
      EXPECT_EQ(word(id, exact), exact);
      EXPECT_EQ(word(id, std::string("0") + (exact[0] == '-' ? exact + 1 : exact)),
                exact[0] == '-' ? exact + 1 : exact);
      EXPECT_EQ(word(id, std::string(exact) + ".000"), exact);
      EXPECT_EQ(word(id, std::string(exact) + "0e-1"), exact);
    }
    EXPECT_EQ(word(id, "1.8446744073709551615e19"), "18446744073709551615");
    EXPECT_EQ(word(id, "1e18"), "1000000000000000000");
    FieldConfig filled = id;
    filled.fill_na = "18446744073709551615";
    EXPECT_EQ(CellReader(filled).missing(), "18446744073709551615");
  }
  const FieldConfig id = field("id", FieldType::categorical, CellType::integer);
  for (const char* large : {"18446744073709551616", "-9223372036854775809", "1e20", "1e300", "1e999"}) {
    expect_error<InputError>([&] { word(id, large); }, {"data.csv:17", "column id", large, "64 bits", "dtype to str"});
  }
  expect_error<InputError>([&] { word(id, "9007199254740993.5"); }, {"not an integer"});
}

// Numbers stay fp64 until they are scaled.
TEST_F(Cells, NumbersAreScaledBeforeTheyAreRounded) {
  const CellReader cells(field("ts", FieldType::numeric, CellType::real));
  const Place place{file_, 17};
  EXPECT_EQ(cells.number("1700000000.25", place), 1700000000.25);
  EXPECT_EQ(cells.scaled(1700000000.25, 1700000000, 4, place), 1.0f);
  EXPECT_EQ(cells.scaled(1e-50, 0, 1, place), 0.0f);
  EXPECT_EQ(cells.scaled(1e39, 0, 1e-30, place), 1e9f);
  expect_error<InputError>([&] { cells.scaled(1e39, 0, 1, place); },
                           {"data.csv:17", "ts", "1e+39", "fp32", "normalizer"});
  expect_error<InputError>([&] { cells.scaled(1e30, 0, 1e10, place); }, {"too far from the training rows"});
}

TEST_F(Cells, MissingValues) {
  FieldConfig n = field("n", FieldType::numeric, CellType::real);
  n.fill_na = "7";
  const Place place{file_, 17};
  // Undeclared: what pandas takes for missing numbers, and \\N.
  for (const char* marker : {"", "NaN", "nan", "NULL", "null", "NA", "N/A", "None", "\\N"}) {
    EXPECT_EQ(CellReader(n).number(marker, place), 7) << marker;
  }
  expect_error<InputError>([&] { CellReader(n).number("-", place); }, {"'-'", "na_values"});
  n.na_values = {"-999", "?"};
  EXPECT_EQ(CellReader(n).number("-999", place), 7);
  EXPECT_EQ(CellReader(n).number("?", place), 7);
  EXPECT_EQ(CellReader(n).number("", place), 7);
  expect_error<InputError>([&] { CellReader(n).number("NaN", place); }, {"'NaN'", "not a number", "na_values"});
  n.fill_na.reset();
  expect_error<InputError>([&] { CellReader(n).number("?", place); }, {"'?'", "missing value", "fill_na"});
  FieldConfig text = field("t");
  EXPECT_EQ(word(text, "NULL"), "NULL");
  text.na_values = {"NULL"};
  EXPECT_EQ(word(text, "NULL"), "");
  text.fill_na = "none";
  EXPECT_EQ(word(text, "NULL"), "none");
}

TEST_F(Cells, TextInANumericField) {
  const FieldConfig real = field("price", FieldType::categorical, CellType::real);
  for (const char* bad : {"cheap", "1,5", "nan", "inf", "1x", "0x10", "1e", "1e+-9", ".", "--1"}) {
    expect_error<InputError>([&] { word(real, bad); }, {"data.csv:17", "column price", "not a number", "dtype"});
  }
  expect_error<InputError>([&] { word(real, "NaN"); }, {"'NaN'", "na_values", "fill_na"});
  for (const char* large : {"1e999", "-1e99999999999999999999", "0.0001e400"}) {
    expect_error<InputError>([&] { word(real, large); }, {"data.csv:17", "column price", large, "larger than", "fp64"});
  }
  for (const char* zero : {"1e-999", "-1e-400", "0e999999999999", "0.0000001e-320"}) EXPECT_EQ(word(real, zero), "0");
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
  expect_error<InputError>([&] { label("many"); }, {"data.csv:5", "not a number of at most 3.4e38"});
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
    expect_error<InputError>([&] { label(bad); }, {"data.csv:5", "price", "not a number of at most 3.4e38"});
  }
  expect_error<InputError>([&] { label(""); }, {"data.csv:5", "price", "the cell is empty"});
  config.label_whole = true;
  EXPECT_EQ(label("-3"), -3);
  EXPECT_EQ(label("4.0"), 4);
  expect_error<InputError>([&] { label("1.234"); }, {"'1.234' is not a whole number", "say dtype: float in label_col"});
}

TEST_F(Cells, Weights) {
  const auto weight = [&](const char* cell) { return parse_weight(cell, "w", {file_, 5}); };
  EXPECT_EQ(weight("0"), 0);
  EXPECT_EQ(weight("2.5"), 2.5f);
  for (const char* bad : {"", "-1", "nan", "1e39", "heavy"}) {
    expect_error<InputError>([&] { weight(bad); }, {"data.csv:5", "weight column w", "not a number from 0 to 3.4e38"});
  }
}

// A field without a place in a configuration file is a trained model's: its settings cannot be changed any more.
TEST_F(Cells, AdviceForATrainedModelIsAboutTheCellAlone) {
  for (const char* bad : {"cheap", "", "1e999"}) {
    FieldConfig price = field("price", FieldType::numeric, CellType::real);
    expect_error<InputError>([&] { CellReader(price).number(bad, {file_, 5}); }, {"set the column's type"});
    price.where.clear();
    try {
      CellReader(price).number(bad, {file_, 5});
      FAIL() << bad;
    } catch (const InputError& e) {
      for (const char* setting : {"type", "dtype", "give the", "na_values: "}) {
        EXPECT_EQ(std::string(e.what()).find(setting), std::string::npos) << e.what();
      }
    }
  }
}

TEST_F(Cells, TokensOfASequence) {
  FieldConfig f = field("s", FieldType::sequence);
  f.splitter = "||";
  f.fill_na = "none";
  const CellReader cells(f);
  const auto tokens = [&](std::string_view cell) {
    std::vector<std::string> all;
    cells.tokens(cell,
                 [&](std::string_view token, bool is_padding) { all.emplace_back(is_padding ? "(pad)" : token); });
    return all;
  };
  EXPECT_EQ(tokens("a||b"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(tokens("a|b"), (std::vector<std::string>{"a|b"}));
  EXPECT_EQ(tokens(""), (std::vector<std::string>{"(pad)"}));
  EXPECT_EQ(tokens("none||a||"), (std::vector<std::string>{"(pad)", "a", ""})) << "with fill_na, '' is a word";
}

TEST_F(Cells, TimesBecomeHoursAndDays) {
  FieldConfig f = field("hour");
  const auto made = [&](Preprocess preprocess, const std::string& cell) {
    f.preprocess = preprocess;
    return word(f, cell);
  };
  // 2014-10-21 was a Tuesday.
  EXPECT_EQ(made(Preprocess::convert_hour, "14102107"), "7");
  EXPECT_EQ(made(Preprocess::convert_weekday, "14102107"), "2");
  EXPECT_EQ(made(Preprocess::convert_weekday, "14102600"), "0") << "Sunday";
  EXPECT_EQ(made(Preprocess::convert_weekend, "14102500"), "1");
  EXPECT_EQ(made(Preprocess::convert_weekend, "14102400"), "0");
  f.cell = CellType::integer;
  EXPECT_EQ(made(Preprocess::convert_hour, "14102123"), "23");
  expect_error<InputError>([&] { made(Preprocess::convert_hour, "2014-10-21"); },
                           {"data.csv", "column hour", "YYMMDDHH"});
  expect_error<InputError>([&] { made(Preprocess::convert_weekday, "14132107"); }, {"begins with no date YYMMDD"});
}

// FuxiCTR fills a column before it is preprocessed, and one that preprocess makes afterwards.
TEST_F(Cells, FillingOfMadeColumns) {
  FieldConfig f = field("day");
  f.preprocess = Preprocess::convert_weekday;
  f.fill_na = "none";
  f.column = "hour";
  EXPECT_EQ(word(f, ""), "none");
  EXPECT_EQ(word(f, "14102107"), "2");
  FieldConfig copy = field("b", FieldType::categorical, CellType::real);
  copy.column = "a";
  copy.preprocess = Preprocess::convert_to_bucket;
  copy.fill_na = "100";
  EXPECT_EQ(word(copy, ""), "100");
  EXPECT_EQ(word(copy, "100"), "21");
  copy.column = "";
  EXPECT_EQ(word(copy, ""), "21");
}

TEST_F(Cells, MissingNumbersByType) {
  FieldConfig f = field("n", FieldType::categorical, CellType::integer);
  expect_error<InputError>([&] { word(f, ""); }, {"the cell is empty"});
  f.fill_by_type = true;
  EXPECT_EQ(word(f, ""), "0");
  EXPECT_EQ(CellReader(f).missing(), "") << "0 is a value like any other";
  f.fill_na = "-1";
  EXPECT_EQ(word(f, ""), "-1");
  EXPECT_EQ(CellReader(f).missing(), "-1");
}

TEST_F(Cells, TextForMessages) {
  EXPECT_EQ(printable("a b"), "'a b'");
  EXPECT_EQ(printable("\x1b[2J"), "'\\x1b[2J'");
  EXPECT_EQ(printable(std::string(41, 'x')), "'" + std::string(40, 'x') + "...'");
}

}  // namespace
}  // namespace kdef::data
