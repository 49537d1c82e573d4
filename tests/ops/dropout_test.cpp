// Masks of dropout.
#include "ops/dropout.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/parallel.h"
#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

TEST(Dropout, DropoutBitsAreThoseOfPhilox) {
  const DropoutKey key = dropout_key(9, 3, 7);
  std::vector<uint16_t> buffer;
  for (int64_t first : {0, 1, 6, 1000003}) {
    const uint16_t* u = cpu::dropout_bits(key, first, 77, buffer);
    for (int64_t i = 0; i < 77; ++i) {
      const uint64_t at = static_cast<uint64_t>(first + i);
      const uint32_t word = Philox::block(key.seed, key.stream, at / 8)[at % 8 / 2];
      ASSERT_EQ(u[i], at % 2 ? word >> 16 : word & 0xFFFFu);
      ASSERT_EQ(u[i], dropout_bits(Philox::block(key.seed, key.stream, at / 8), static_cast<int>(at % 8)));
    }
  }
}

TEST(Dropout, DropoutKeepsTheMeanAndTheMask) {
  const Tensor x = Tensor::full({200, 100}, 1, DType::f64);
  const V a = values(dropout(x, 0.3, dropout_key(1, 0, 5)));
  int64_t kept = 0;
  for (double v : a) {
    EXPECT_TRUE(v == 0 || std::abs(v - 1 / (1 - dropout_rate(0.3))) < 1e-12);
    kept += v != 0;
  }
  EXPECT_NEAR(static_cast<double>(kept) / 20000, 0.7, 0.015);
  EXPECT_NEAR(dropout_rate(0.3), 0.3, 1.0 / 131072);
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    EXPECT_EQ(values(dropout(x, 0.3, dropout_key(1, 0, 5))), a);
  }
  EXPECT_NE(values(dropout(x, 0.3, dropout_key(1, 0, 6))), a);
  EXPECT_NE(values(dropout(x, 0.3, dropout_key(1, 1, 5))), a);
  EXPECT_NE(values(dropout(x, 0.3, dropout_key(2, 0, 5))), a);
  EXPECT_THROW(dropout(x, 1.0, {}), Error);
}

// 33 numbers in a row: the first number of most rows is not the first of a Philox block.
TEST(Dropout, RowsHaveTheMasksOfTheirPlaceInTheBatch) {
  const Tensor x = random_uniform({50, 3, 11}, 1, 2, 1);
  DropoutKey key = dropout_key(1, 0, 5);
  const Tensor whole = dropout(x, 0.3, key);
  for (const int64_t first : {0, 1, 2, 40}) {
    key.first_row = first;
    EXPECT_EQ(values(dropout(x.rows(first, 10), 0.3, key)), values(whole.rows(first, 10))) << "row " << first;
  }
}

}  // namespace
}  // namespace kdef::ops
