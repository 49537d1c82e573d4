#include "core/base/shards.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <span>
#include <thread>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "tests/support/thread_group.h"

namespace kdef {
namespace {

// What shard s of 8 gives: the sum depends on the order.
double value_of(int64_t s) {
  constexpr double kValues[8] = {1e16, 1, -1e16, 1, 0.1, 0.7, 1e8, 3};
  return kValues[s];
}

TEST(Shards, SumsAreThoseOfOneTreeForEveryNumberOfProcesses) {
  double leaves[8];
  for (int64_t s = 0; s < 8; ++s) leaves[s] = value_of(s);
  const double tree =
      ((leaves[0] + leaves[1]) + (leaves[2] + leaves[3])) + ((leaves[4] + leaves[5]) + (leaves[6] + leaves[7]));
  double in_turn = 0;
  for (const double x : leaves) in_turn += x;
  ASSERT_NE(tree, in_turn);
  for (const int processes : {1, 2, 4, 8}) {
    std::atomic<int> shards_seen = 0;
    test::ThreadGroup(processes).run([&](Group& group) {
      Shards shards(group, 8);
      EXPECT_EQ(shards.count(), 8 / processes);
      EXPECT_EQ(shards.first(), group.rank() * shards.count());
      for (int again = 0; again < 3; ++again) {
        shards.run([&](int64_t i) {
          Group& all = Group::current();
          EXPECT_EQ(all.size(), 8);
          EXPECT_EQ(all.rank(), shards.first() + i);
          double wide[2] = {value_of(all.rank()), 1};
          all.all_reduce(std::span(wide));
          EXPECT_EQ(wide[0], tree);
          EXPECT_EQ(wide[1], 8);
          float narrow = 0.5f;
          all.all_reduce(std::span(&narrow, 1));
          EXPECT_EQ(narrow, 4.0f);
          EXPECT_TRUE(all.agree(all.rank() == 5));
          EXPECT_FALSE(all.agree(false));
          ++shards_seen;
        });
      }
      EXPECT_EQ(&Group::current(), &group);
    });
    EXPECT_EQ(shards_seen, 24) << processes;
  }
}

TEST(Shards, AFailureEndsAllAndTheLowestIsTold) {
  Shards shards(Group::alone(), 8);
  for (int again = 0; again < 20; ++again) {
    try {
      shards.run([&](int64_t i) {
        float one = 1;
        Group::current().all_reduce(std::span(&one, 1));
        if (i == 3 || i == 6) throw InputError(cat("shard ", i));
        Group::current().agree(true);
      });
      FAIL() << "nothing was thrown";
    } catch (const InputError& e) {
      EXPECT_TRUE(e.what() == std::string("shard 3") || e.what() == std::string("shard 6")) << e.what();
    }
    // The same object works on.
    std::atomic<int> ended = 0;
    shards.run([&](int64_t) {
      EXPECT_FALSE(Group::current().agree(false));
      ++ended;
    });
    EXPECT_EQ(ended, 8);
  }
}

// A team is used with other numbers of threads, of which 3 does not divide its shards; each time a shard fails before
// its first meeting, while others wait there and others have not begun.
TEST(Shards, WorkWithAnyNumberOfThreadsAndAfterAnyFailure) {
  const int before = num_threads();
  Shards shards(Group::alone(), 8);
  for (const int threads : {1, 3, 8, 2, 1}) {
    set_num_threads(threads);
    const auto sum = [&](int64_t failing, size_t other_size) {
      std::atomic<int> good = 0;
      shards.run([&](int64_t i) {
        if (i == failing) throw InputError("failed");
        std::vector<double> one(i == 5 ? other_size : 1, 1.0);
        for (int again = 0; again < 3; ++again) {
          std::fill(one.begin(), one.end(), 1.0);
          Group::current().all_reduce(one);
          good += one[0] == 8.0;
        }
      });
      return good.load();
    };
    EXPECT_EQ(sum(-1, 1), 24) << threads;
    for (const int64_t failing : {0, 4, 7}) EXPECT_THROW(sum(failing, 1), InputError) << threads;
    EXPECT_THROW(sum(-1, 2), Error) << threads;  // sums of different sizes
    EXPECT_EQ(sum(-1, 1), 24) << threads;
  }
  set_num_threads(before);
}

TEST(Shards, AsManyRunAtATimeAsThereAreThreads) {
  const int before = num_threads();
  set_num_threads(2);
  Shards shards(Group::alone(), 8);
  std::atomic<int> running = 0, most = 0, threads = 0;
  shards.run([&](int64_t) {
    for (int i = 0; i < 50; ++i) {
      const int now = ++running;
      for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
      }
      threads = num_threads();
      // The first one waits for a second, which may run beside it, however busy the machine is.
      const auto late = std::chrono::steady_clock::now() + std::chrono::seconds(30);
      while (most < 2 && std::chrono::steady_clock::now() < late) std::this_thread::yield();
      for (volatile int wait = 0; wait < 10000; wait = wait + 1) {
      }
      --running;
      Group::current().barrier();
    }
  });
  EXPECT_EQ(most, 2);
  EXPECT_EQ(threads, 1);
  set_num_threads(before);
}

TEST(Shards, OtherNumbersAreRefused) {
  EXPECT_THROW(Shards(Group::alone(), 6), Error);
  EXPECT_THROW(Shards(Group::alone(), 0), Error);
  test::ThreadGroup(4).run([](Group& group) { EXPECT_THROW(Shards(group, 2), Error); });
}

}  // namespace
}  // namespace kdef
