#include "data/encode/split.h"

#include <numeric>

#include "data/encode/prepare.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

class SplitTest : public ::testing::Test {
 protected:
  // Rows 0 to n - 1, each with its number in the column `row` and a text of `times` in the column `time`.
  DatasetConfig config(int64_t n, const std::vector<std::string>& times = {}) {
    std::string text = "label,row,time\n";
    for (int64_t row = 0; row < n; ++row) {
      const std::string time = times.empty() ? "0" : times[static_cast<size_t>(row) % times.size()];
      text += cat(row % 2, ",", row, ",", time, row % 3 == 0 ? "\n\n" : "\n");  // blank lines are no rows
    }
    DatasetConfig c;
    c.id = "set";
    c.train_data = dir_.file("train.csv", text);
    c.fields = {field("row", FieldType::numeric, CellType::integer)};
    return c;
  }
  std::vector<int64_t> rows(const RowParts& parts, Part part) {
    std::vector<int64_t> rows;
    for (int64_t row = 0; row < parts.rows(); ++row) {
      if (parts.part(row) == part) rows.push_back(row);
    }
    EXPECT_EQ(static_cast<int64_t>(rows.size()), parts.rows(part));
    return rows;
  }
  std::vector<int64_t> numbers(const std::string& file) {
    const EncodedFile encoded(file);
    std::vector<int64_t> all;
    for (int64_t row = 0; row < encoded.rows(); ++row) all.push_back(static_cast<int64_t>(encoded.numerics(row)[0]));
    return all;
  }

  TemporaryFolder dir_;
};

TEST_F(SplitTest, TheLastRowsAreTestRowsAndTheLastOfTheRestValidationRows) {
  DatasetConfig c = config(25);
  c.valid_size = 3;
  c.test_size = 0.1;
  const RowParts parts(c, {});
  EXPECT_EQ(rows(parts, Part::test), (std::vector<int64_t>{23, 24}));
  EXPECT_EQ(rows(parts, Part::valid), (std::vector<int64_t>{20, 21, 22}));
  EXPECT_EQ(parts.rows(Part::train), 20);
}

// numpy.random.seed(7); ids = numpy.arange(25); numpy.random.shuffle(ids) gives 1, 5, 11, 13, 2, 21, 9, 16, 12, 0, 23,
// 6, 20, 17, 24, 10, 18, 8, 14, 7, 19, 3, 22, 4, 15; FuxiCTR cuts test rows from its end, then validation rows.
TEST_F(SplitTest, RandomRowsAreThoseOfNumpy) {
  DatasetConfig c = config(25);
  c.valid_size = 0.2;
  c.test_size = 4;
  c.split_type = SplitType::random;
  c.split_seed = 7;
  const RowParts parts(c, {});
  EXPECT_EQ(rows(parts, Part::test), (std::vector<int64_t>{3, 4, 15, 22}));
  EXPECT_EQ(rows(parts, Part::valid), (std::vector<int64_t>{7, 8, 14, 18, 19}));
}

TEST_F(SplitTest, InTheOrderOfAColumn) {
  DatasetConfig c = config(6, {"30", "100", "2"});
  c.test_size = 3;
  c.split_by = "time";
  EXPECT_EQ(rows(RowParts(c, {}), Part::test), (std::vector<int64_t>{1, 3, 4})) << "numbers by their value";
  c = config(6, {"2024-10-02", "x", "2024-09-30"});
  c.test_size = 3;
  c.split_by = "time";
  EXPECT_EQ(rows(RowParts(c, {}), Part::test), (std::vector<int64_t>{1, 3, 4})) << "texts by their bytes";
  c = config(6, {"1", ""});
  c.test_size = 3;
  c.split_by = "time";
  expect_error<InputError>([&] { RowParts(c, {}); }, {"train.csv:4", "column time", "the cell is empty"});
}

TEST_F(SplitTest, EveryRowIsInOnePartOfTheCache) {
  DatasetConfig c = config(20000);
  c.fields.push_back(field("time"));
  c.valid_size = 0.25;
  c.test_size = 0.1;
  c.split_type = SplitType::random;
  const std::string cache = dir_ / "cache";
  const Prepared p = prepare(c, cache);
  EXPECT_EQ(p.train_rows, 13000);
  EXPECT_EQ(p.valid_rows, 5000);
  EXPECT_EQ(p.test_rows, 2000);
  const RowParts parts(c, {});
  EXPECT_EQ(numbers(train_file(cache)), rows(parts, Part::train));
  EXPECT_EQ(numbers(valid_file(cache)), rows(parts, Part::valid));
  EXPECT_EQ(numbers(test_file(cache)), rows(parts, Part::test));
  EXPECT_TRUE(is_fresh(c, cache));
  ++c.split_seed;
  EXPECT_FALSE(is_fresh(c, cache));
}

// The vocabulary is that of the training rows alone.
TEST_F(SplitTest, OtherRowsAreNotCounted) {
  DatasetConfig c = config(10);
  c.fields = {field("row")};
  c.test_size = 4;
  const Prepared p = prepare(c, dir_ / "cache");
  EXPECT_EQ(p.map.fields[0].vocab_size, 6 + 2);
  EXPECT_EQ(EncodedFile(test_file(dir_ / "cache")).ids(0)[0], 7);
}

TEST_F(SplitTest, SizesThatLeaveNothing) {
  DatasetConfig c = config(9);
  c.valid_size = 0.1;
  expect_error<InputError>([&] { RowParts(c, {}); }, {"valid_size 0.1 of 9 rows is 0 rows"});
  c.valid_size = c.test_size = 5;
  expect_error<InputError>([&] { RowParts(c, {}); }, {"5 validation and 5 test rows leave no training rows of 9"});
  c.test_size = 0;
  c.valid_data = c.train_data;
  expect_error<InputError>([&] { prepare(c, dir_ / "cache"); }, {"valid_data or valid_size, not both"});
}

}  // namespace
}  // namespace kdef::data
