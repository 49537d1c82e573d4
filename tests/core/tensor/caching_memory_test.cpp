#include "core/tensor/caching_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <thread>
#include <vector>

namespace kdef {
namespace {

// A system of `limit` bytes that gives blocks of multiples of 100.
struct SmallSystem {
  static inline size_t limit = 0, used = 0;
  static inline std::multiset<size_t> asked;

  static size_t round_up(size_t bytes) { return (bytes + 99) / 100 * 100; }
  static void* allocate(size_t bytes) noexcept {
    if (used + bytes > limit) return nullptr;
    used += bytes;
    asked.insert(bytes);
    auto* block = static_cast<size_t*>(std::malloc(bytes + sizeof(size_t)));
    *block = bytes;
    return block + 1;
  }
  static void release(void* address) noexcept {
    auto* block = static_cast<size_t*>(address) - 1;
    used -= *block;
    std::free(block);
  }
  static std::string shortage() { return "; the test's memory is small"; }
  static void copy(void*, const void*, size_t) {}
  static void zero(void*, size_t) {}
};

class CachingMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    SmallSystem::limit = 10000;
    SmallSystem::used = 0;
    SmallSystem::asked.clear();
  }
  void TearDown() override {
    memory_.trim();
    EXPECT_EQ(SmallSystem::used, 0u);
  }
  CachingMemory<SmallSystem> memory_;
};

TEST_F(CachingMemoryTest, ABlockIsUsedAgainIfAtMostAQuarterIsWasted) {
  void* large = memory_.allocate(400);
  memory_.release(large);
  void* near = memory_.allocate(300);  // a quarter of 400 is wasted
  EXPECT_EQ(near, large);
  EXPECT_EQ(memory_.statistics().in_use, 400u);
  memory_.release(near);
  void* small = memory_.allocate(200);
  EXPECT_NE(small, large);
  EXPECT_EQ(memory_.statistics().reserved, 600u);
  memory_.release(small);
}

TEST_F(CachingMemoryTest, TheSmallestBlockThatFitsIsTaken) {
  void *a = memory_.allocate(1000), *b = memory_.allocate(900);
  memory_.release(a);
  memory_.release(b);
  void* taken = memory_.allocate(800);
  EXPECT_EQ(taken, b);
  memory_.release(taken);
}

TEST_F(CachingMemoryTest, PeakAndAllocationsAreCounted) {
  void *a = memory_.allocate(100), *b = memory_.allocate(250);
  EXPECT_EQ(memory_.statistics().peak, 400u);
  memory_.release(a);
  memory_.restart_peak();
  EXPECT_EQ(memory_.statistics().peak, 300u);
  a = memory_.allocate(100);
  EXPECT_EQ(memory_.statistics().peak, 400u);
  EXPECT_EQ(memory_.statistics().system_allocations, 2u);
  memory_.release(a);
  memory_.release(b);
}

TEST_F(CachingMemoryTest, WhatIsKeptIsGivenBackBeforeMemoryIsShort) {
  void* a = memory_.allocate(8000);
  memory_.release(a);
  void* b = memory_.allocate(3000);  // fits only without the kept block
  EXPECT_EQ(SmallSystem::used, 3000u);
  try {
    memory_.allocate(9000);
    FAIL();
  } catch (const SystemError& e) {
    EXPECT_THAT(e.what(),
                testing::AllOf(testing::StartsWith("out of memory"), testing::HasSubstr("the test's memory")));
  }
  memory_.release(b);
}

TEST_F(CachingMemoryTest, PoolsDoNotShareBlocksUntilTheyAreRetired) {
  void* common = memory_.allocate(500);
  memory_.release(common);
  EXPECT_EQ(memory_.use_pool(1), 0);
  void* own = memory_.allocate(500);
  EXPECT_NE(own, common);
  memory_.release(own);
  void* kept = memory_.allocate(500);
  EXPECT_EQ(kept, own);
  EXPECT_EQ(memory_.use_pool(0), 1);
  memory_.trim();  // leaves pool 1 alone
  EXPECT_EQ(memory_.statistics().reserved, 500u);
  memory_.release(kept);
  void* other = memory_.allocate(500);
  EXPECT_NE(other, own);
  memory_.retire_pool(1);
  void* now_common = memory_.allocate(500);
  EXPECT_EQ(now_common, own);
  memory_.release(other);
  memory_.release(now_common);
}

TEST_F(CachingMemoryTest, ThreadsMayShareIt) {
  SmallSystem::limit = 1 << 20;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) memory_.release(memory_.allocate(static_cast<size_t>(100 * (1 + (i + t) % 5))));
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(memory_.statistics().in_use, 0u);
}

}  // namespace
}  // namespace kdef
