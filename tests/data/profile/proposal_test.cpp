#include "data/profile/proposal.h"

#include <algorithm>
#include <functional>

#include "data/encode/prepare.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

using Use = ColumnProposal::Use;
using Cell = std::function<std::string(int64_t row)>;

class ProposalTest : public ::testing::Test {
 protected:
  // A file of `rows` rows with the columns `click`, which is 0 and 1 in turn, and `x`, or as it is named.
  std::string file(
      const Cell& x, int64_t rows = 400, const Cell& click = [](int64_t row) { return cat(row % 2); },
      const std::string& name = "x") {
    std::string text = "click," + name + ",other\n";
    for (int64_t row = 0; row < rows; ++row) text += cat(click(row), ",", x(row), ",v", row % 3, "\n");
    return dir_.file("rows.csv", text);
  }
  Proposal proposal(const std::string& path, const std::string& label = "click") {
    DatasetConfig dataset = describe_file(path, label);
    dataset.valid_size = dataset.test_size = 0.1;
    dataset.split_type = SplitType::random;
    const FileProfile read = profile_with_quotes(dataset);
    return propose(dataset, read);
  }
  ColumnProposal column(const Proposal& p, const std::string& name = "x") {
    const auto it = std::find_if(p.columns.begin(), p.columns.end(), [&](const auto& c) { return c.column == name; });
    EXPECT_NE(it, p.columns.end()) << name;
    return it == p.columns.end() ? ColumnProposal{} : *it;
  }
  ColumnProposal x(const Cell& cell, int64_t rows = 400) { return column(proposal(file(cell, rows))); }
  FieldConfig made(const ColumnProposal& column) {
    EXPECT_EQ(column.use, Use::input) << column.why;
    EXPECT_EQ(column.fields.size(), 1u);
    return column.fields.at(0);
  }
  TemporaryFolder dir_;
};

TEST_F(ProposalTest, CountsRowsByPart) {
  DatasetConfig dataset;
  dataset.train_data = file([](int64_t row) { return row == 7 ? std::string() : cat(row % 5); }, 100);
  dataset.label = "click";
  dataset.valid_size = dataset.test_size = 0.1;
  const FileProfile read = profile(dataset);
  EXPECT_EQ(read.rows, (std::array<int64_t, 3>{80, 10, 10}));
  const ColumnProfile& column = read.column("x");
  EXPECT_EQ(column.values.size(), 5);
  EXPECT_EQ(column.count_of(Part::train, column.values.find("1")), 16);
  EXPECT_EQ(column.count_of(Part::train, column.values.find("2")), 15);  // row 7 is empty
  EXPECT_EQ(column.count_of(Part::test, column.values.find("2")), 2);
  EXPECT_EQ(column.missing, (std::array<int64_t, 3>{1, 0, 0}));
  EXPECT_EQ(column.distinct(16), 4);
}

TEST_F(ProposalTest, UnseenIsTheShareOfRowsWithoutAnId) {
  DatasetConfig dataset;
  dataset.label = "click";
  // 80 training rows with 40 values, twice each; 4 of the 10 validation rows have new values.
  dataset.train_data = file([](int64_t row) { return row >= 80 && row < 84 ? cat("new", row) : cat(row % 40); }, 100);
  dataset.valid_size = dataset.test_size = 0.1;
  const FileProfile read = profile(dataset);
  EXPECT_DOUBLE_EQ(read.column("x").unseen(Part::valid, 2), 0.4);
  EXPECT_DOUBLE_EQ(read.column("x").unseen(Part::valid, 3), 1);
  EXPECT_DOUBLE_EQ(read.column("x").unseen(Part::train, 2), 0);
}

TEST_F(ProposalTest, IdsAndNumbers) {
  const auto scattered = [](int64_t row) { return (row * 7919) % 400; };
  // Texts, and few whole numbers, are ids.
  EXPECT_EQ(made(x([](int64_t row) { return cat("user", row % 20); })).type, FieldType::categorical);
  EXPECT_EQ(made(x([](int64_t row) { return cat(row % 20); })).cell, CellType::str);
  // Whole numbers that repeat and fill their range name things; so do those that begin with 0.
  EXPECT_EQ(made(x([](int64_t row) { return cat(1000 + row % 150); })).type, FieldType::categorical);
  const FieldConfig zeros = made(x([](int64_t row) { return cat("00", 1000 + row % 150); }));
  EXPECT_EQ(zeros.cell, CellType::str);
  EXPECT_FALSE(zeros.fill_na);
  // 3 and 3.0 are one id.
  const FieldConfig floats = made(x([](int64_t row) { return cat(row % 20, row % 3 == 0 ? ".0" : ""); }));
  EXPECT_EQ(floats.cell, CellType::real);
  EXPECT_EQ(floats.fill_na, "-1");
  // Fractions are amounts; a missing one gets the mean.
  const FieldConfig amount = made(x([&](int64_t row) { return row == 5 ? "" : cat(scattered(row) / 8.0 + 0.01); }));
  EXPECT_EQ(amount.type, FieldType::numeric);
  EXPECT_EQ(amount.normalizer, Normalizer::standard);
  EXPECT_EQ(amount.fill_na->substr(0, 2), "24");
  // Counts, most of them small and some very large, go to buckets.
  const FieldConfig counts = made(x([&](int64_t row) {
    const int64_t n = scattered(row);
    return cat(n * n * n * n * n);
  }));
  EXPECT_EQ(counts.preprocess, Preprocess::convert_to_bucket);
  EXPECT_EQ(counts.fill_na, "-1");
  // Where they leave out few numbers, the name decides between counts and ids in the order of their first use.
  const Cell dense = [](int64_t row) { return cat(row < 220 ? 1 + row % 9 : row - 200); };
  EXPECT_EQ(made(x(dense)).preprocess, Preprocess::none);
  for (const std::string name : {"duration", "call_seconds", "AmountPaid"}) {
    const ColumnProposal named = column(proposal(file(
                                            dense, 400, [](int64_t row) { return cat(row % 2); }, name)),
                                        name);
    EXPECT_EQ(made(named).preprocess, Preprocess::convert_to_bucket) << name;
  }
  const std::string both = "duration_id";
  EXPECT_EQ(made(column(proposal(file(
                            dense, 400, [](int64_t row) { return cat(row % 2); }, both)),
                        both))
                .preprocess,
            Preprocess::none);
}

TEST_F(ProposalTest, MissingMarkers) {
  const ColumnProposal usual = x([](int64_t row) { return row % 4 == 0 ? "NULL" : cat(row / 8.0 + 0.01); });
  EXPECT_EQ(made(usual).type, FieldType::numeric);
  EXPECT_FALSE(made(usual).na_values);  // a column of numbers with fill_na knows them
  EXPECT_NEAR(usual.missing, 0.25, 0.01);
  const FieldConfig other = made(x([](int64_t row) { return row % 4 == 0 ? "?" : cat(row / 8.0 + 0.01); }));
  EXPECT_EQ(other.na_values, (std::vector<std::string>{"?"}));
  const ColumnProposal text = x([](int64_t row) { return row % 4 == 0 ? "many" : cat(row % 30); });
  EXPECT_EQ(made(text).type, FieldType::categorical);
  EXPECT_NE(text.why.find("'many'"), std::string::npos);
}

TEST_F(ProposalTest, ColumnsThatAreLeftOut) {
  EXPECT_EQ(x([](int64_t) { return "same"; }).why, "constant: 'same'");
  EXPECT_EQ(x([](int64_t) { return ""; }).why, "empty in the training rows");
  EXPECT_EQ(x([](int64_t row) { return cat("row", row); }).why, "another value in every row");
  EXPECT_EQ(x([](int64_t row) { return cat(row); }).why, "another value in every row");
  const ColumnProposal rare = x([](int64_t row) { return row % 50 == 0 ? "a" : cat("row", row); });
  EXPECT_EQ(rare.use, Use::left_out);
  ASSERT_EQ(rare.fields.size(), 1u);
  EXPECT_FALSE(rare.fields[0].active);
  const std::string names = dir_.file(
      "names.csv", "click,a,,b,a\n" + [] {
        std::string rows;
        for (int row = 0; row < 100; ++row) rows += cat(row % 2, ",1,2,", row % 7, ",4\n");
        return rows;
      }());
  const Proposal p = proposal(names);
  EXPECT_EQ(p.dataset.fields.size(), 1u);
  EXPECT_EQ(p.columns.size(), 5u);
}

TEST_F(ProposalTest, Times) {
  const ColumnProposal hours = x([](int64_t row) { return cat(14102100 + row % 3 * 100 + row % 24); });
  ASSERT_EQ(hours.fields.size(), 3u);
  EXPECT_FALSE(hours.fields[0].active);
  EXPECT_EQ(hours.fields[1].name, "x_hour");
  EXPECT_EQ(hours.fields[1].column, "x");
  EXPECT_EQ(hours.fields[2].preprocess, Preprocess::convert_weekday);
  // 20101213 is a day of 2010 before it is an hour of 2020.
  EXPECT_EQ(x([](int64_t row) { return cat(20101201 + row % 23); }).use, Use::left_out);
  const ColumnProposal with_hour_0 = x([](int64_t row) { return cat(20101200 + row % 24); });  // no month has a day 0
  ASSERT_EQ(with_hour_0.fields.size(), 2u);
  EXPECT_EQ(with_hour_0.fields[1].name, "x_hour");
  for (const char* time : {"2014-10-2", "201410210", "2014/10/1"}) {
    const ColumnProposal left = x([&](int64_t row) { return cat(time, row % 10 == 0 ? 1 : row % 10); });
    EXPECT_EQ(left.use, Use::left_out) << time;
    EXPECT_NE(left.why.find("--split time:x"), std::string::npos) << left.why;
  }
  DatasetConfig dataset = describe_file(file([](int64_t row) { return cat(1 + row % 28, "/10/2014"); }), "click");
  dataset.split_by = "x";
  dataset.valid_size = 0.1;
  const FileProfile read = profile(dataset);
  expect_error<InputError>([&] { propose(dataset, read); }, {"column x", "do not sort", "YYYY-MM-DD"});
}

TEST_F(ProposalTest, Lists) {
  const char* genres[] = {"Drama", "Comedy", "Action", "War", "Crime", "Horror"};
  const ColumnProposal list = x([&](int64_t row) {
    return cat(genres[row % 6], row % 2 ? "" : cat("|", genres[row / 6 % 6]),
               row % 5 ? "" : cat("|", genres[row / 5 % 6]));
  });
  EXPECT_EQ(made(list).type, FieldType::sequence);
  EXPECT_EQ(made(list).splitter, "|");
  EXPECT_EQ(made(list).max_len, 3);
  // Titles hold blanks and are no lists.
  EXPECT_EQ(made(x([](int64_t row) { return cat("The ", row % 60, ". Film (", 1900 + row % 60, ")"); })).type,
            FieldType::categorical);
}

TEST_F(ProposalTest, Labels) {
  const auto with = [&](const Cell& click) {
    return proposal(file([](int64_t row) { return cat(row % 9); }, 400, click)).dataset;
  };
  EXPECT_FALSE(with([](int64_t row) { return cat(row % 2); }).label_threshold);
  EXPECT_FALSE(with([](int64_t row) { return cat(row % 2, ".0"); }).label_threshold);
  EXPECT_EQ(with([](int64_t row) { return cat(row % 2 ? 1 : -1); }).label_threshold, 0);
  EXPECT_EQ(with([](int64_t row) { return cat(row % 4 ? 0 : row % 7); }).label_threshold, 0.5);
  EXPECT_EQ(with([](int64_t row) { return cat(1 + row % 5); }).label_threshold, 3);
  EXPECT_EQ(with([](int64_t row) { return row % 2 ? "no" : "yes"; }).label_positive, (std::vector<std::string>{"yes"}));
  EXPECT_EQ(with([](int64_t row) { return row % 5 ? "kept" : "bought"; }).label_positive,
            (std::vector<std::string>{"bought"}));
  expect_error<InputError>([&] { with([](int64_t row) { return row == 3 ? "" : cat(row % 2); }); },
                           {"rows.csv", "click", "empty in 1 row"});
  expect_error<InputError>([&] { with([](int64_t) { return "1"; }); }, {"'1' in every row"});
  expect_error<InputError>([&] { with([](int64_t row) { return cat("k", row % 3); }); }, {"3 values", "'k0'"});
  expect_error<InputError>([&] { with([](int64_t row) { return cat(row / 8.0); }); }, {"numbers from", "regression"});
}

TEST_F(ProposalTest, EveryPartNeedsBothLabels) {
  DatasetConfig dataset = describe_file(
      file([](int64_t row) { return cat(row % 9); }, 100, [](int64_t row) { return cat(row < 70 ? row % 2 : 0); }),
      "click");
  dataset.valid_size = 0.2;
  const FileProfile read = profile(dataset);
  expect_error<InputError>([&] { propose(dataset, read); }, {"all 20 validation rows are without a click", "--split"});
}

TEST_F(ProposalTest, FilesWithoutHeaderLine) {
  std::string text;
  for (int row = 0; row < 60; ++row) text += cat(row % 2, "\tv", row % 5, "\t", row % 7, "\n");
  const std::string path = dir_.file("rows.tsv", text);
  EXPECT_EQ(describe_file(path, "1").label, "c1");
  EXPECT_EQ(describe_file(path, "c1").columns, (std::vector<std::string>{"c1", "c2", "c3"}));
  expect_error<InputError>([&] { describe_file(path, "click"); },
                           {"rows.tsv", "'click'", "no header line", "c1 to c3"});
  EXPECT_EQ(proposal(path, "1").dataset.fields.size(), 2u);
}

TEST_F(ProposalTest, AStrayQuoteFarDownIsACharacter) {
  std::string text = "click,x\n";
  for (int row = 0; row < 20000; ++row) text += cat(row % 2, row == 18000 ? ",\"" : ",v", row % 5, "\n");
  DatasetConfig dataset = describe_file(dir_.file("rows.csv", text), "click");
  EXPECT_EQ(dataset.quote, Quote::double_quote);
  EXPECT_EQ(profile_with_quotes(dataset).rows[0], 20000);
  EXPECT_EQ(dataset.quote, Quote::none);
}

TEST_F(ProposalTest, SvmTextAndPipesAreRefused) {
  expect_error<InputError>([&] { describe_file(dir_.file("a.svm", "1 3:1 7:0.5\n0 2:1\n"), "label"); },
                           {"a.svm", "libsvm", "by hand"});
}

TEST_F(ProposalTest, WhatIsProposedCanBePrepared) {
  std::string text = "click,id,amount,list,hour,user\n";
  for (int row = 0; row < 500; ++row) {
    text += cat(row % 3 == 0, ",", row, ",", row % 11 ? cat(row % 97 / 8.0) : "NA", ",g", row % 4, row % 2 ? "^g7" : "",
                ",", 14102100 + row % 4 * 100 + row % 24, ",u", row % 30, "\n");
  }
  DatasetConfig dataset = proposal(dir_.file("rows.csv", text)).dataset;
  dataset.id = "set";
  const Prepared prepared = prepare(dataset, dir_ / "cache");
  EXPECT_EQ(prepared.train_rows, 400);
  EXPECT_TRUE(prepared.warnings.empty());
  std::vector<std::string> names;
  for (const Field& f : prepared.map.fields) names.push_back(f.name);
  EXPECT_EQ(names, (std::vector<std::string>{"amount", "list", "hour_hour", "hour_weekday", "user"}));
}

}  // namespace
}  // namespace kdef::data
