#include "data/encode/recent_cells.h"

#include "tests/data/support.h"

namespace kdef::data {
namespace {

TEST(RecentCells, AKnownCellIsNotMadeAgain) {
  RecentCells recent;
  int made = 0;
  const auto id = [&](std::string_view cell, int32_t value) {
    return recent.id(cell, [&] {
      ++made;
      return value;
    });
  };
  EXPECT_EQ(id("1.5", 7), 7);
  EXPECT_EQ(id("1.5", 8), 7);
  EXPECT_EQ(id("", 3), 3);  // an empty cell is a cell
  EXPECT_EQ(id("", 4), 3);
  EXPECT_EQ(made, 2);
}

// Cells that differ never get each other's id, whatever takes whose place.
TEST(RecentCells, DifferentCellsAreKeptApart) {
  RecentCells recent;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 20000; ++i) {
      ASSERT_EQ(recent.id(std::to_string(i), [&] { return i; }), i);
    }
  }
  const std::string nul(1, '\0'), two(2, '\0');
  EXPECT_EQ(recent.id(nul, [] { return 1; }), 1);
  EXPECT_EQ(recent.id(two, [] { return 2; }), 2);
  EXPECT_EQ(recent.id(nul, [] { return 3; }), 1);
}

TEST(RecentCells, LongCellsAreAlwaysMade) {
  RecentCells recent;
  EXPECT_EQ(recent.id("123456789", [] { return 1; }), 1);
  EXPECT_EQ(recent.id("123456789", [] { return 2; }), 2);
}

TEST(RecentCells, AFailureLeavesNothing) {
  RecentCells recent;
  EXPECT_THROW(recent.id("x", []() -> int32_t { throw InputError("bad"); }), InputError);
  EXPECT_EQ(recent.id("x", [] { return 5; }), 5);
}

}  // namespace
}  // namespace kdef::data
