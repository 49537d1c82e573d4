#include "data/feed/batching.h"

#include <cmath>
#include <set>

#include "tests/data/support.h"

namespace kdef::data {
namespace {

class Batching : public ::testing::Test {
 protected:
  static constexpr int64_t kRows = 1003;
  // Row r has id r.
  EncodedFile make_file(int64_t rows = kRows) {
    EncodedWriter writer(dir_ / "rows.kdefbin", {1, 1});
    Batch batch;
    batch.resize(rows, {1, 1});
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
      batch.ids[r] = static_cast<int32_t>(r);
      batch.numerics[r] = static_cast<float>(r);
      batch.labels[r] = static_cast<float>(r % 2);
    }
    writer.append(batch);
    writer.commit();
    return EncodedFile(dir_ / "rows.kdefbin");
  }
  static std::vector<int32_t> rest_of_epoch(Loader& loader) {
    std::vector<int32_t> ids;
    Batch batch;
    while (loader.next(batch)) ids.insert(ids.end(), batch.ids.begin(), batch.ids.end());
    return ids;
  }

  TemporaryFolder dir_;
  EncodedFile file_ = make_file();
};

TEST_F(Batching, FileOrderWithoutShuffling) {
  Loader loader(file_, 100, false, 1);
  EXPECT_EQ(loader.steps_per_epoch(), 11);
  loader.start_epoch(0);
  Batch batch;
  int64_t row = 0;
  for (int step = 0; step < 11; ++step) {
    ASSERT_TRUE(loader.next(batch));
    ASSERT_EQ(batch.rows, step < 10 ? 100 : 3);
    ASSERT_EQ(batch.ids.size(), static_cast<size_t>(batch.rows));
    for (size_t b = 0; b < batch.ids.size(); ++b, ++row) {
      ASSERT_EQ(batch.ids[b], row);
      ASSERT_EQ(batch.numerics[b], static_cast<float>(row));
      ASSERT_EQ(batch.labels[b], static_cast<float>(row % 2));
    }
  }
  EXPECT_FALSE(loader.next(batch));
  EXPECT_FALSE(loader.next(batch));
}

TEST_F(Batching, EveryEpochIsAnotherFullPermutation) {
  Loader loader(file_, 64, true, 5), twin(file_, 7, true, 5), other(file_, 64, true, 6);
  std::set<std::vector<int32_t>> orders;
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    loader.start_epoch(epoch);
    twin.start_epoch(epoch);
    const std::vector<int32_t> order = rest_of_epoch(loader);
    EXPECT_EQ(std::set<int32_t>(order.begin(), order.end()).size(), static_cast<size_t>(kRows));
    EXPECT_EQ(order.size(), static_cast<size_t>(kRows));
    EXPECT_EQ(rest_of_epoch(twin), order) << "the order must not depend on the batch size";
    orders.insert(order);
  }
  other.start_epoch(0);
  orders.insert(rest_of_epoch(other));
  EXPECT_EQ(orders.size(), 5u);
}

TEST_F(Batching, PartsOfABatchMakeTheBatch) {
  for (const bool shuffle : {false, true}) {
    Loader whole(file_, 100, shuffle, 5), first(file_, 100, shuffle, 5, 0, {0, 3}),
        second(file_, 100, shuffle, 5, 0, {1, 3}), third(file_, 100, shuffle, 5, 0, {2, 3});
    for (Loader* loader : {&whole, &first, &second, &third}) loader->start_epoch(2, 1);
    Batch batch, part;
    for (int64_t index = 1; whole.next(batch); ++index) {
      EXPECT_EQ(whole.batch_rows(index), batch.rows);
      EXPECT_EQ(whole.first_row(index), 0);
      std::vector<int32_t> ids;
      for (Loader* loader : {&first, &second, &third}) {
        ASSERT_TRUE(loader->next(part));
        EXPECT_EQ(loader->batch_rows(index), batch.rows);
        EXPECT_EQ(loader->first_row(index), static_cast<int64_t>(ids.size()));
        EXPECT_EQ(part.labels.size(), part.ids.size());
        EXPECT_LE(std::abs(3 * part.rows - batch.rows), 2);
        ids.insert(ids.end(), part.ids.begin(), part.ids.end());
      }
      EXPECT_EQ(ids, batch.ids);
    }
    EXPECT_FALSE(third.next(part));
  }
  EXPECT_THROW(Loader(file_, 100, true, 5, 0, {3, 3}), Error);
}

TEST_F(Batching, ResumesAtAnyBatch) {
  Loader loader(file_, 100, true, 9);
  loader.start_epoch(3);
  const std::vector<int32_t> whole = rest_of_epoch(loader);
  for (int64_t first : {0, 1, 5, 10, 11}) {
    Loader resumed(file_, 100, true, 9);
    resumed.start_epoch(3, first);
    const auto begin = whole.begin() + std::min<int64_t>(100 * first, kRows);
    EXPECT_EQ(rest_of_epoch(resumed), std::vector<int32_t>(begin, whole.end())) << first;
  }
}

TEST_F(Batching, StopsAndRestartsInTheMiddle) {
  Batch batch;
  for (int taken = 0; taken < 4; ++taken) {
    Loader loader(file_, 10, true, 2);
    loader.start_epoch(0);
    for (int i = 0; i < taken; ++i) ASSERT_TRUE(loader.next(batch));
    loader.start_epoch(1);
    const std::vector<int32_t> rest = rest_of_epoch(loader);
    EXPECT_EQ(rest.size(), static_cast<size_t>(kRows));
  }
  Loader never_started(file_, 10, true, 2);
  EXPECT_FALSE(never_started.next(batch));
}

TEST_F(Batching, BatchLargerThanTheData) {
  Loader loader(file_, 5000, true, 2);
  EXPECT_EQ(loader.steps_per_epoch(), 1);
  loader.start_epoch(0);
  EXPECT_EQ(rest_of_epoch(loader).size(), static_cast<size_t>(kRows));
}

TEST_F(Batching, NoRows) {
  const EncodedFile file = make_file(0);
  Loader loader(file, 10, true, 1);
  loader.start_epoch(0);
  EXPECT_TRUE(rest_of_epoch(loader).empty());
}

TEST_F(Batching, Misuse) {
  EXPECT_THROW(Loader(file_, 0, true, 1), Error);
  Loader loader(file_, 100, true, 1);
  EXPECT_THROW(loader.start_epoch(0, 12), Error);
  EXPECT_THROW(loader.start_epoch(-1), Error);
}

// A file larger than its window: blocks in an order of their own, rows shuffled within a window.
TEST_F(Batching, WindowsOfBlocks) {
  for (int64_t rows : {7 * kBlockRows, 7 * kBlockRows + 100, 6 * kBlockRows - 1}) {
    const EncodedFile file = make_file(rows);
    std::set<int32_t> beginnings;
    for (int64_t epoch = 0; epoch < 8; ++epoch) {
      Loader loader(file, 1000, true, 4, 2 * kBlockRows), twin(file, 333, true, 4, 3 * kBlockRows - 1);
      loader.start_epoch(epoch);
      twin.start_epoch(epoch);
      const std::vector<int32_t> order = rest_of_epoch(loader);
      ASSERT_EQ(order, rest_of_epoch(twin));
      ASSERT_EQ(std::set<int32_t>(order.begin(), order.end()).size(), static_cast<size_t>(rows));
      ASSERT_EQ(order.size(), static_cast<size_t>(rows));
      // A window's rows are those of two blocks, well mixed.
      std::set<int32_t> blocks_seen, early;
      for (int64_t b = 0; b < kBlockRows; ++b) {
        const int32_t block = order[static_cast<size_t>(b)] / static_cast<int32_t>(kBlockRows);
        blocks_seen.insert(block);
        if (b < 100) early.insert(block);
      }
      EXPECT_LE(blocks_seen.size(), 2u);
      EXPECT_EQ(early, blocks_seen);
      beginnings.insert(*early.begin());
      for (int64_t first : {int64_t{1}, int64_t{9}, loader.steps_per_epoch() - 1, loader.steps_per_epoch()}) {
        Loader resumed(file, 1000, true, 4, 2 * kBlockRows);
        resumed.start_epoch(epoch, first);
        const auto begin = order.begin() + std::min(1000 * first, rows);
        ASSERT_EQ(rest_of_epoch(resumed), std::vector<int32_t>(begin, order.end())) << first;
        resumed.start_epoch(epoch, first);  // in the same window once more
        ASSERT_EQ(rest_of_epoch(resumed), std::vector<int32_t>(begin, order.end())) << first;
      }
    }
    EXPECT_GT(beginnings.size(), 2u);
  }
}

TEST_F(Batching, TheWindowIsTheFileWhereItFits) {
  const EncodedFile file = make_file(3 * kBlockRows + 5);
  EXPECT_EQ(Loader::default_window(file), 4 * kBlockRows);
  Loader by_default(file, 100, true, 3), whole(file, 100, true, 3, 4 * kBlockRows), smaller(file, 100, true, 3, 1);
  for (Loader* loader : {&by_default, &whole, &smaller}) loader->start_epoch(0);
  const std::vector<int32_t> order = rest_of_epoch(by_default);
  EXPECT_EQ(rest_of_epoch(whole), order);
  EXPECT_NE(rest_of_epoch(smaller), order);
  // As it was before there were windows: a permutation by (seed, epoch) is kept for good.
  EXPECT_EQ(std::vector<int32_t>(order.begin(), order.begin() + 4), (std::vector<int32_t>{9055, 11532, 776, 1664}));
}

TEST_F(Batching, TheWindowFollowsTheMemory) {
  const EncodedFile file = make_file(3 * kBlockRows);
  const int64_t bytes = file.rows() * file.row_bytes();
  EXPECT_EQ(Loader::default_window(file, 2 * bytes), 3 * kBlockRows);
  EXPECT_EQ(Loader::default_window(file, 2 * bytes - 2), (2 * bytes - 2) / 4 / file.row_bytes());
}

// Fisher and Yates by an unbiased integer: each row is about equally often in each place.
TEST_F(Batching, PermutationsAreUniform) {
  constexpr int kEpochs = 2000;
  Loader loader(file_, 10, true, 31);
  int low = 0;
  for (int64_t epoch = 0; epoch < kEpochs; ++epoch) {
    loader.start_epoch(epoch);
    Batch batch;
    ASSERT_TRUE(loader.next(batch));
    low += batch.ids[0] < kRows / 2;
  }
  EXPECT_NEAR(low, kEpochs / 2, 5 * std::sqrt(kEpochs / 4.0));
}

}  // namespace
}  // namespace kdef::data
