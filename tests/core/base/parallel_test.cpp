#include "core/base/parallel.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>
#include <utility>

#include "core/base/error.h"

namespace kdef {
namespace {

// Runs the body with 1, 2 and 4 threads.
class Parallel : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_num_threads(GetParam()); }
  void TearDown() override { set_num_threads(before_); }
  const int before_ = num_threads();
};

TEST_P(Parallel, EveryIndexOnce) {
  for (const int64_t n : {0, 1, 9, 10, 11, 1000}) {
    std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
    parallel_for(n, 10, [&](int64_t first, int64_t last) {
      EXPECT_EQ(first % 10, 0);
      EXPECT_LE(last - first, 10);
      for (int64_t i = first; i < last; ++i) ++seen[static_cast<size_t>(i)];
    });
    for (const auto& count : seen) EXPECT_EQ(count, 1);
    std::fill(seen.begin(), seen.end(), 0);
    for_each_index(seen.size(), [&](size_t i) { ++seen[i]; });
    for (const auto& count : seen) EXPECT_EQ(count, 1);
  }
}

TEST_P(Parallel, TheLowestFailureIsThrownWhateverTheTiming) {
  // The higher a piece, the sooner it fails: with several threads the lowest failure is the first to start, or the last
  // to be noticed.
  for (int repeat = 0; repeat < 20; ++repeat) {
    try {
      parallel_for(16, 1, [](int64_t i, int64_t) {
        if (i < 3) return;
        std::this_thread::sleep_for(std::chrono::microseconds(i < 6 ? 3000 - 500 * i : 0));
        throw Error(cat("piece ", i));
      });
      FAIL();
    } catch (const Error& e) {
      EXPECT_STREQ(e.what(), "piece 3");
    }
  }
}

TEST_P(Parallel, PiecesBelowAFailureAreAllDone) {
  std::atomic<int> done{0};
  EXPECT_THROW(parallel_for(100, 1,
                            [&](int64_t i, int64_t) {
                              if (i == 60) throw Error("60");
                              if (i < 60) ++done;
                            }),
               Error);
  EXPECT_EQ(done, 60);
}

TEST_P(Parallel, SumsAreAddedInTheOrderOfThePieces) {
  std::vector<float> x(100'000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 1.0f / static_cast<float>(i + 1);
  float expected = 0;
  for (size_t first = 0; first < x.size(); first += 1000) {
    expected +=
        std::accumulate(x.begin() + static_cast<int64_t>(first), x.begin() + static_cast<int64_t>(first) + 1000, 0.0f);
  }
  const float sum = parallel_sum<float>(static_cast<int64_t>(x.size()), 1000, [&](int64_t first, int64_t last) {
    return std::accumulate(x.begin() + first, x.begin() + last, 0.0f);
  });
  EXPECT_EQ(sum, expected);
}

TEST_P(Parallel, InsideAnotherItRunsOnTheCallingThread) {
  parallel_for(4, 1, [](int64_t, int64_t) {
    const auto outer = std::this_thread::get_id();
    parallel_for(8, 1, [&](int64_t, int64_t) { EXPECT_EQ(std::this_thread::get_id(), outer); });
  });
}

INSTANTIATE_TEST_SUITE_P(Threads, Parallel, testing::Values(1, 2, 4));

// A child has none of the parent's threads; what waits for them waits forever.
TEST(Fork, AChildWorksAloneWithTheSameBits) {
  const int before = num_threads();
  set_num_threads(4);
  const auto sum = [] {
    return parallel_sum<double>(100000, 100, [](int64_t first, int64_t last) {
      double s = 0;
      for (int64_t i = first; i < last; ++i) s += 1.0 / static_cast<double>(i + 1);
      return s;
    });
  };
  const double expected = sum();
  EXPECT_FALSE(forked_after_threads());
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    bool good = forked_after_threads() && num_threads() == 1 && sum() == expected;
    set_num_threads(4);
    good = good && num_threads() == 1 && sum() == expected;
    double by_thread = 0;
    std::thread([&] { by_thread = sum(); }).join();
    ::_exit(good && by_thread == expected ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(sum(), expected);
  set_num_threads(before);
}

TEST(Integers, RoundUp) {
  EXPECT_EQ(divide_up(0, 4), 0);
  EXPECT_EQ(divide_up(1, 4), 1);
  EXPECT_EQ(divide_up(int64_t{1} << 40, 3), 366503875926);
  EXPECT_EQ(round_up(8u, 8), 8u);
  EXPECT_EQ(round_up(9u, 8), 16u);
}

}  // namespace
}  // namespace kdef
