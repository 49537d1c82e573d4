#include "data/encode/row_groups.h"

#include <atomic>

#include "data/encode/spool.h"
#include "data/raw/chunks.h"
#include "data/raw/memory_rows.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

class RowGroupsTest : public ::testing::Test {
 protected:
  // One column; row r has the cell "r".
  std::unique_ptr<MemoryRows> source(int64_t rows) {
    texts_.clear();
    for (int64_t r = 0; r < rows; ++r) texts_.push_back(std::to_string(r));
    cells_.assign(texts_.begin(), texts_.end());
    auto made = std::make_unique<MemoryRows>(std::vector<std::string>{"a"}, cells_, "folder/rows");
    made->select({"a"});
    return made;
  }
  static constexpr int64_t kGroupRows = MemoryRows::kChunkRows * static_cast<int64_t>(kGroupChunks);
  std::vector<std::string> texts_;
  std::vector<std::string_view> cells_;
};

TEST_F(RowGroupsTest, EveryRowOnceAndInOrder) {
  for (int64_t rows : {int64_t{1}, kGroupRows, 2 * kGroupRows + 17}) {
    const auto from = source(rows);
    std::vector<int64_t> reported;
    const ProgressListener progress = [&](const Progress& p) {
      EXPECT_EQ(p.stage, "testing rows");
      reported.push_back(p.rows);
    };
    RowGroups groups(*from, "testing", progress);
    int64_t row = 0, groups_seen = 0, beside = 0;
    while (groups.next()) {
      std::atomic<int64_t> tasks{0};
      groups.run(
          3, [&](size_t) { ++tasks; }, [&] { ++beside; });
      EXPECT_EQ(tasks, 3);
      ++groups_seen;
      for (const Chunk& chunk : groups.chunks()) {
        for (int64_t i = 0; i < chunk.rows(); ++i, ++row) ASSERT_EQ(chunk.cell(i, 0), std::to_string(row));
      }
      EXPECT_EQ(groups.rows(), row);
      EXPECT_EQ(reported.back(), row);
    }
    EXPECT_EQ(row, rows);
    EXPECT_EQ(groups_seen, (rows + kGroupRows - 1) / kGroupRows);
    EXPECT_EQ(beside, groups_seen);
  }
}

TEST_F(RowGroupsTest, NoRows) {
  const auto from = source(0);
  const ProgressListener silent;
  RowGroups groups(*from, "testing", silent);
  expect_error<InputError>([&] { groups.next(); }, {"folder/rows", "no rows"});
}

TEST_F(RowGroupsTest, TheFirstFailureIsThrown) {
  const auto from = source(10);
  const ProgressListener silent;
  RowGroups groups(*from, "testing", silent);
  ASSERT_TRUE(groups.next());
  const auto fail = [](size_t task) { throw InputError("task " + std::to_string(task)); };
  expect_error<InputError>([&] { groups.run(5, fail); }, {"task 0"});
  expect_error<InputError>([&] { groups.run(5, fail, [] { throw InputError("beside"); }); }, {"beside"});
}

TEST(Spool, GroupsComeBack) {
  TemporaryFolder dir;
  Spool spool(dir.path());
  const std::string large(3000000, 'x');
  spool.write({2, {"ab", "", large}});
  spool.write({0, {}});
  spool.write({1, {std::string(1, '\0')}});
  spool.rewind();
  Spool::Group group;
  ASSERT_TRUE(spool.read(group));
  EXPECT_EQ(group.rows, 2);
  EXPECT_EQ(group.columns, (std::vector<std::string>{"ab", "", large}));
  ASSERT_TRUE(spool.read(group));
  EXPECT_TRUE(group.columns.empty());
  ASSERT_TRUE(spool.read(group));
  EXPECT_EQ(group.columns, (std::vector<std::string>{std::string(1, '\0')}));
  EXPECT_FALSE(spool.read(group));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));  // the file has no name
}

}  // namespace
}  // namespace kdef::data
