#include "core/base/random.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kdef {
namespace {

// Known answers of the Random123 distribution, philox4x32 with 10 rounds.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(Philox::block(0, 0, 0), (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox::block(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Random, GoesOnFromItsPosition) {
  Random a(7, 3);
  for (int i = 0; i < 5; ++i) a.bits();
  Random b(7, 3, a.position());
  for (int i = 0; i < 9; ++i) EXPECT_EQ(a.bits(), b.bits());
}

TEST(Random, HasTheMomentsOfItsDistributions) {
  Random r(1);
  double sum = 0, squares = 0, uniform = 0;
  const int n = 200000;
  for (int i = 0; i < n; ++i) {
    const double x = r.normal();
    sum += x;
    squares += x * x;
    uniform += r.uniform();
  }
  EXPECT_NEAR(sum / n, 0, 0.01);
  EXPECT_NEAR(squares / n, 1, 0.02);
  EXPECT_NEAR(uniform / n, 0.5, 0.005);
}

TEST(Random, BelowCoversItsRangeEvenly) {
  Random r(2);
  int counts[7] = {};
  for (int i = 0; i < 70000; ++i) ++counts[r.below(7)];
  for (int c : counts) EXPECT_NEAR(c, 10000, 500);
}

}  // namespace
}  // namespace kdef
