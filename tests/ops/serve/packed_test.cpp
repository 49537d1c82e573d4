// Packed products for every instruction set that this processor has.
#include "ops/serve/packed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/error.h"
#include "core/base/random.h"
#include "ops/serve/packed_kernels.h"

namespace kdef::ops {
namespace {

std::vector<float> numbers(int64_t n, uint64_t seed, double zeros = 0) {
  Random random(seed, 1);
  std::vector<float> all;
  for (int64_t i = 0; i < n; ++i) {
    const bool zero = random.uniform() < zeros;
    all.push_back(zero ? 0.0f : static_cast<float>(2 * random.uniform() - 1));
  }
  return all;
}

struct Size {
  int64_t in, out;
};
// Around whole vectors and panels of every set, few outputs, and more inputs than are looked through at once.
constexpr Size kSizes[] = {{1, 1}, {7, 4}, {5, 5}, {33, 17}, {400, 400}, {176, 1200}, {2100, 23}, {0, 9}, {624, 65}};
constexpr int64_t kRows[] = {1, 2, 3, 5, 6, 7, 12, 13, 16, 29};

class Packed : public testing::TestWithParam<Isa> {};

// Adds a table of `rows` rows.
void fill(TableSum& sum, const std::vector<float>& table, int64_t rows, int64_t column) {
  sum.add_table(rows, column, [&](int64_t first, int64_t count, float* to) {
    for (int64_t r = 0; r < count; ++r)
      std::copy_n(table.data() + (first + r) * sum.out(), sum.out(), to + r * sum.stride());
  });
}

// What is left of rows of n numbers that are kept in fewer bits.
std::vector<float> kept(const std::vector<float>& rows, int64_t n, Stored stored) {
  const int64_t count = n == 0 ? 0 : static_cast<int64_t>(rows.size()) / n;
  StoredRows some(count, n, stored);
  std::vector<float> all(rows.size());
  for (int64_t r = 0; r < count; ++r) {
    some.set(r, rows.data() + r * n, n);
    some.read(r, n, all.data() + r * n);
  }
  return all;
}

constexpr Stored kFewerBits[] = {Stored::bf16, Stored::int8};

double plain_sum(const std::vector<float>& x, const std::vector<float>& w, const Size& s, int64_t b, int64_t o) {
  double sum = 0;
  for (int64_t i = 0; i < s.in; ++i)
    sum += static_cast<double>(x[static_cast<size_t>(b * s.in + i)]) * w[static_cast<size_t>(o * s.in + i)];
  return sum;
}

TEST_P(Packed, LinearIsTheSumInDoublePrecisionUpToRounding) {
  for (const Size& s : kSizes) {
    const int64_t rows = 13, ldy = s.out + 3;
    const std::vector<float> x = numbers(rows * s.in, 1, 0.4), w = numbers(s.out * s.in, 2), bias = numbers(s.out, 3),
                             start = numbers(rows * ldy, 4);
    for (const bool relu : {false, true}) {
      const PackedLinear linear(w.data(), bias.data(), s.out, s.in, relu, GetParam());
      for (const bool add : {false, true}) {
        std::vector<float> y = start;
        linear.run(x.data(), s.in, rows, y.data(), ldy, add);
        for (int64_t b = 0; b < rows; ++b) {
          for (int64_t o = 0; o < ldy; ++o) {
            const size_t at = static_cast<size_t>(b * ldy + o);
            if (o >= s.out) {
              ASSERT_EQ(y[at], start[at]) << "written behind the row";
              continue;
            }
            double want = (add ? start[at] : bias[static_cast<size_t>(o)]) + plain_sum(x, w, s, b, o);
            if (relu) want = std::max(want, 0.0);
            ASSERT_NEAR(y[at], want, 2e-6 * std::sqrt(1.0 + static_cast<double>(s.in)))
                << s.in << " -> " << s.out << ", row " << b << ", output " << o;
          }
        }
      }
    }
  }
}

class PackedRows : public testing::TestWithParam<std::tuple<Isa, Stored>> {};

TEST_P(PackedRows, HaveTheSameBitsAmongAnyNumberOfRows) {
  const auto [isa, stored] = GetParam();
  for (const Size& s : kSizes) {
    const int64_t most = 301;
    const std::vector<float> w = numbers(s.out * s.in, 2);
    std::vector<float> x = numbers(most * s.in, 1, 0.5), bias = numbers(s.out, 3);
    bias[0] = 1e-40f;  // a sum that begins below 2^-126, in rows of zeros, too
    std::fill_n(x.end() - s.in, s.in, 0.0f);
    const PackedLinear linear(w.data(), bias.data(), s.out, s.in, false, isa, stored);
    std::vector<float> all(static_cast<size_t>(most * s.out));
    linear.run(x.data(), s.in, most, all.data(), s.out);
    for (const int64_t rows : kRows) {
      const int64_t first = most - rows;
      std::vector<float> some(static_cast<size_t>(rows * s.out));
      linear.run(x.data() + first * s.in, s.in, rows, some.data(), s.out);
      EXPECT_EQ(std::memcmp(some.data(), all.data() + first * s.out, some.size() * sizeof(float)), 0)
          << s.in << " -> " << s.out << ", " << rows << " rows";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, PackedRows,
                         testing::Combine(testing::ValuesIn(usable_isas()),
                                          testing::Values(Stored::f32, Stored::bf16, Stored::int8)),
                         [](const auto& of) {
                           std::string name =
                               cat(name_of(std::get<Isa>(of.param)), name_of(std::get<Stored>(of.param)));
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(Packed, NoRowsAreNoWork) {
  for (const Size& s : kSizes) {
    const std::vector<float> w = numbers(s.out * s.in, 2), x(1), start(static_cast<size_t>(s.out), 7.0f);
    std::vector<float> y = start;
    PackedLinear(w.data(), nullptr, s.out, s.in, true, GetParam()).run(x.data(), s.in, 0, y.data(), s.out);
    const int32_t id = 0;
    TableSum sum(nullptr, s.out, true, GetParam());
    sum.add_table(3, 0, [](int64_t, int64_t, float*) {});
    sum.run(&id, 1, 0, y.data(), s.out);
    EXPECT_EQ(y, start) << s.in << " -> " << s.out;
  }
}

TEST_P(Packed, NotANumberStaysInItsRowAndInfiniteWeightsMeetZeros) {
  const Size s{40, 33};
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();
  std::vector<float> x = numbers(3 * s.in, 1, 0.5), w = numbers(s.out * s.in, 2);
  x[static_cast<size_t>(s.in) + 4] = kNan;
  std::vector<float> y(static_cast<size_t>(3 * s.out));
  for (const auto& [relu, stored] : {std::pair(false, Stored::f32), {true, Stored::f32}, {true, Stored::bf16}}) {
    PackedLinear(w.data(), nullptr, s.out, s.in, relu, GetParam(), stored).run(x.data(), s.in, 3, y.data(), s.out);
    for (size_t i = 0; i < y.size(); ++i)
      EXPECT_EQ(std::isnan(y[i]), i / static_cast<size_t>(s.out) == 1) << "number " << i;
  }
  w[0] = kInf;  // 0 times infinity is NaN, also for a single row
  const std::vector<float> zeros(static_cast<size_t>(s.in));
  PackedLinear(w.data(), nullptr, s.out, s.in, false, GetParam()).run(zeros.data(), s.in, 1, y.data(), s.out);
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], 0.0f);
}

TEST_P(Packed, TableSumAddsOneRowPerTable) {
  const int64_t rows = 9, columns = 4;
  Random random(5, 5);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < rows * columns; ++i) ids.push_back(static_cast<int32_t>(random.below(6)));
  for (const int64_t out : {1, 5, 16, 130, 1200}) {
    const std::vector<float> bias = numbers(out, 3);
    std::vector<std::vector<float>> tables;
    for (uint64_t t = 0; t < 3; ++t) tables.push_back(numbers(6 * out, 7 + t));
    for (const bool relu : {false, true}) {
      TableSum sum(bias.data(), out, relu, GetParam());
      for (int64_t t = 0; t < 3; ++t) {
        fill(sum, tables[static_cast<size_t>(t)], 6, t + 1);
      }
      const int64_t ldy = out + 2;
      std::vector<float> y(static_cast<size_t>(rows * ldy), 7.0f), alone(static_cast<size_t>(ldy));
      sum.run(ids.data(), columns, rows, y.data(), ldy);
      for (int64_t b = 0; b < rows; ++b) {
        for (int64_t o = 0; o < out; ++o) {
          float want = bias[static_cast<size_t>(o)];
          for (int64_t t = 0; t < 3; ++t) {
            const int64_t id = ids[static_cast<size_t>(b * columns + t + 1)];
            want += tables[static_cast<size_t>(t)][static_cast<size_t>(id * out + o)];
          }
          ASSERT_EQ(y[static_cast<size_t>(b * ldy + o)], relu ? std::max(want, 0.0f) : want) << out << " outputs";
        }
        EXPECT_EQ(y[static_cast<size_t>(b * ldy + out)], 7.0f) << "written behind the row";
        sum.run(ids.data() + b * columns, columns, 1, alone.data(), ldy);
        EXPECT_EQ(std::memcmp(alone.data(), y.data() + b * ldy, static_cast<size_t>(out) * sizeof(float)), 0);
      }
    }
  }
}

// A product with weights in fewer bits is that with the weights that are left, to the last bit, but where it has
// instructions of its own.
TEST_P(Packed, WeightsInFewerBitsAreRoundedWeights) {
  const int64_t rows = 29;
  for (const Size& s : kSizes) {
    const std::vector<float> x = numbers(rows * s.in, 1, 0.4), w = numbers(s.out * s.in, 2), bias = numbers(s.out, 3);
    const auto run = [&](const std::vector<float>& weight, Stored stored, int64_t count) {
      std::vector<float> y(static_cast<size_t>(count * s.out));
      PackedLinear(weight.data(), bias.data(), s.out, s.in, false, GetParam(), stored)
          .run(x.data() + (rows - count) * s.in, s.in, count, y.data(), s.out);
      return y;
    };
    for (const Stored stored : kFewerBits) {
      if (PackedLinear(w.data(), nullptr, s.out, s.in, false, GetParam(), stored).rounds_inputs()) continue;
      const std::vector<float> left = s.out <= 4 ? w : kept(w, s.in, stored);
      for (const int64_t count : {1, 5, 29}) {
        EXPECT_EQ(run(w, stored, count), run(left, Stored::f32, count))
            << s.in << " -> " << s.out << ", " << count << " rows of " << name_of(stored);
      }
    }
  }
}

// Where inputs are rounded, too, it is the sum of the products of what is left of both.
TEST_P(Packed, RoundedInputsAreMultipliedByRoundedWeights) {
  const int64_t rows = 130;  // more than are rounded together
  for (const Size& s : kSizes) {
    const std::vector<float> x = numbers(rows * s.in, 1, 0.4), w = numbers(s.out * s.in, 2), bias = numbers(s.out, 3);
    const PackedLinear linear(w.data(), bias.data(), s.out, s.in, true, GetParam(), Stored::bf16);
    EXPECT_EQ(linear.rounds_inputs(), GetParam() == Isa::v4_bf16 && s.out > 4);
    if (!linear.rounds_inputs()) continue;
    const std::vector<float> left = kept(w, s.in, Stored::bf16), rounded = kept(x, s.in, Stored::bf16);
    const std::vector<float> start = numbers(rows * s.out, 4);
    for (const bool add : {false, true}) {
      std::vector<float> y = start;
      linear.run(x.data(), s.in, rows, y.data(), s.out, add);
      for (int64_t b = 0; b < rows; ++b) {
        for (int64_t o = 0; o < s.out; ++o) {
          const size_t at = static_cast<size_t>(b * s.out + o);
          const double want =
              std::max(0.0, (add ? start[at] : bias[static_cast<size_t>(o)]) + plain_sum(rounded, left, s, b, o));
          ASSERT_NEAR(y[at], want, 2e-6 * std::sqrt(1.0 + static_cast<double>(s.in)))
              << s.in << " -> " << s.out << ", row " << b << ", output " << o;
        }
      }
    }
  }
}

// The same of tables; scaled rows may be added with one rounding less.
TEST_P(Packed, TablesInFewerBitsAreRoundedTables) {
  const int64_t rows = 9, vocabulary = 300;
  Random random(5, 5);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < rows * 2; ++i) ids.push_back(static_cast<int32_t>(random.below(vocabulary)));
  for (const int64_t out : {1, 5, 16, 130, 1200}) {
    const std::vector<float> a = numbers(vocabulary * out, 7), b = numbers(vocabulary * out, 8);
    const auto run = [&](const std::vector<float>& first, const std::vector<float>& second, Stored stored,
                         int64_t count) {
      TableSum sum(nullptr, out, false, GetParam(), stored);
      fill(sum, first, vocabulary, 0);
      fill(sum, second, vocabulary, 1);
      std::vector<float> y(static_cast<size_t>(count * out));
      sum.run(ids.data(), 2, count, y.data(), out);
      return y;
    };
    for (const Stored stored : kFewerBits) {
      const std::vector<float> got = run(a, b, stored, rows),
                               want = run(kept(a, out, stored), kept(b, out, stored), Stored::f32, rows);
      // Three roundings of numbers below 2, of 2^-24 of their size each.
      for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], stored == Stored::int8 ? 3 * 0x1p-23 : 0);
      const std::vector<float> one = run(a, b, stored, 1);
      EXPECT_EQ(std::memcmp(one.data(), got.data(), one.size() * sizeof(float)), 0) << name_of(stored);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, Packed, testing::ValuesIn(usable_isas()), [](const auto& of) {
  std::string name = name_of(of.param);
  std::erase(name, '-');
  return name;
});

TEST(PackedSets, AgreeUpToRounding) {
  const Size s{624, 400};
  const int64_t rows = 7;
  const std::vector<float> x = numbers(rows * s.in, 1), w = numbers(s.out * s.in, 2), bias = numbers(s.out, 3);
  std::vector<float> want;
  for (const Isa isa : usable_isas()) {
    std::vector<float> y(static_cast<size_t>(rows * s.out));
    PackedLinear(w.data(), bias.data(), s.out, s.in, false, isa).run(x.data(), s.in, rows, y.data(), s.out);
    if (want.empty()) want = y;
    for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(y[i], want[i], 5e-5) << name_of(isa);
  }
}

// bf16 has 8 significant bits: it is off by at most 2^-8 of a number. int8 is off by half a step, which is 1/127 of the
// largest number of the row.
TEST(StoredRows, AreOffByAtMostHalfAStep) {
  const int64_t n = 1000;
  std::vector<float> x = numbers(3 * n, 9);
  for (int64_t i = 0; i < n; ++i) x[static_cast<size_t>(n + i)] *= 1e-6f;  // rows are scaled by themselves
  x[5] = 0;
  std::vector<float> most(3);
  for (size_t i = 0; i < x.size(); ++i) most[i / n] = std::max(most[i / n], std::abs(x[i]));
  const std::vector<float> bf16 = kept(x, n, Stored::bf16), int8 = kept(x, n, Stored::int8);
  EXPECT_EQ(kept(x, n, Stored::f32), x);
  float worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_LE(std::abs(bf16[i] - x[i]), std::abs(x[i]) * 0x1p-8f) << x[i];
    // The scale and the product with it are rounded, too: 2^-24 each.
    ASSERT_LE(std::abs(int8[i] - x[i]), most[i / n] * (1 / 254.0f + 0x1p-22f)) << x[i];
    worst = std::max(worst, std::abs(int8[i] - x[i]) / most[i / n]);
  }
  EXPECT_GT(worst, 1 / 300.0f);  // the bound is not far from what happens
  EXPECT_EQ(bf16[5], 0);
  EXPECT_EQ(int8[5], 0);
}

TEST(StoredRows, OfNumbersThatAreNotFinite) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {1, kInf, kNan, 2, 3, 4}, bf16 = kept(x, 3, Stored::bf16),
                           int8 = kept(x, 3, Stored::int8);
  EXPECT_EQ(bf16[0], 1);
  EXPECT_EQ(bf16[1], kInf);
  EXPECT_TRUE(std::isnan(bf16[2]));
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(std::isnan(int8[i])) << i;
  EXPECT_EQ(int8[5], 4);
}

TEST(StoredRows, TakeTheMemoryOfTheirBits) {
  EXPECT_EQ(StoredRows::bytes_of(1000, 16, Stored::f32), 64000u);
  EXPECT_EQ(StoredRows::bytes_of(1000, 16, Stored::bf16), 32000u);
  EXPECT_EQ(StoredRows::bytes_of(1000, 16, Stored::int8), 16000u + 4000u);
  for (const auto& [name, stored] : kStoredNames) {
    EXPECT_EQ(StoredRows(1000, 16, stored).bytes(), StoredRows::bytes_of(1000, 16, stored));
    EXPECT_EQ(parse_stored(name), stored);
    EXPECT_STREQ(name_of(stored), name);
  }
  EXPECT_THROW(parse_stored("fp16"), InputError);
}

// What core calls usable has kernels in this build.
TEST(PackedSets, EveryUsableSetHasItsKernels) {
  for (const Isa isa : usable_isas()) EXPECT_EQ(serve::kernels(isa).isa, isa) << name_of(isa);
}

TEST(PackedSets, NamesAreThoseOfThePsAbi) {
  EXPECT_EQ(usable_isas().front(), Isa::plain);
  EXPECT_STREQ(name_of(Isa::v3), "x86-64-v3");
}

}  // namespace
}  // namespace kdef::ops
