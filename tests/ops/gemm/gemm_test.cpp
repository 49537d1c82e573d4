// Matrix products of every backend against the reference, and their bits.
#include "ops/gemm/gemm.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>

#include "core/base/parallel.h"
#include "ops/gemm/pieces.h"
#include "ops/gemm/reference.h"
#include "ops/linear.h"
#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

struct GemmShape {
  int64_t m, n, k;
};

class GemmAgrees : public testing::TestWithParam<GemmShape> {};

// Compares the backend in use with the reference loop in fp64: all transposes, with bias, accumulation and batches.
TEST_P(GemmAgrees, WithTheReference) {
  const auto [m, n, k] = GetParam();
  for (int variant = 0; variant < 32; ++variant) {
    Gemm g;
    g.m = m;
    g.n = n;
    g.k = k;
    g.transpose_a = variant & 1;
    g.transpose_b = variant & 2;
    g.accumulate = variant & 4;
    const bool with_bias = variant & 8;
    g.lda = g.transpose_a ? m : k;
    g.ldb = g.transpose_b ? k : n;
    g.ldc = n;
    g.batch = variant & 16 ? 2 : 1;
    g.stride_a = m * k;
    g.stride_b = 0;  // one B for all
    g.stride_c = m * n;
    const auto a = random_uniform({2 * m * k}, -1, 1, 1).to(DType::f32),
               b = random_uniform({k * n}, -1, 1, 2).to(DType::f32);
    if (k > 2000) {  // long sums: of whole numbers, which are exact in any order
      for (const Tensor& x : {a, b}) {
        for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = std::nearbyint(4 * x.data<float>()[i]);
      }
    }
    const auto bias = random_uniform({n}, -1, 1, 3).to(DType::f32);
    const Tensor a64 = a.to(DType::f64), b64 = b.to(DType::f64), bias64 = bias.to(DType::f64);
    const Tensor c = Tensor::full({2 * m * n}, 0.5), want = c.to(DType::f64);
    gemm<float>(kCpu, g, a.data<float>(), b.data<float>(), c.data<float>(), with_bias ? bias.data<float>() : nullptr);
    reference::gemm<double>(g, a64.data<double>(), b64.data<double>(), want.data<double>(),
                            with_bias ? bias64.data<double>() : nullptr);
    for (int64_t i = 0; i < c.numel(); ++i) {
      ASSERT_NEAR(c.data<float>()[i], want.data<double>()[i], 2e-6 * std::sqrt(static_cast<double>(k)) + 1e-6)
          << "variant " << variant << " element " << i;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Shapes, GemmAgrees,
                         testing::Values(GemmShape{1, 1, 1}, GemmShape{7, 5, 3}, GemmShape{1, 40, 130},
                                         GemmShape{130, 1, 40}, GemmShape{257, 300, 65}, GemmShape{1000, 64, 100},
                                         GemmShape{64, 900, 128}, GemmShape{40, 24, 2501}, GemmShape{1, 700, 3001},
                                         GemmShape{5000, 1, 410}));

// Compares with the product of rounded operands, whose fp32 sums are added in another order. The shapes are cut into
// panels of rows, panels of columns and groups of sums; operands are transposed or not.
TEST(Gemm, Bf16RoundsOperandsAndSumsInFp32) {
  const GemmPrecision bf16 = parse_precision("bf16");
  if (!has_bf16_products()) GTEST_SKIP() << "no bf16 products here";
  const auto rounded = [](const Tensor& x) {
    Tensor y = x.clone();
    for (int64_t i = 0; i < y.numel(); ++i) {
      uint32_t u;
      std::memcpy(&u, y.data<float>() + i, 4);
      // To nearest: the two neighbours are u's upper half and the next one; ties go to the even one.
      const uint32_t low = u & 0xFFFF0000u, rest = u & 0xFFFFu;
      const bool up = rest > 0x8000u || (rest == 0x8000u && (low & 0x10000u));
      u = up ? low + 0x10000u : low;
      std::memcpy(y.data<float>() + i, &u, 4);
    }
    return y;
  };
  int differ = 0;
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{700, 90, 64}, {90, 700, 64}, {64, 48, 1000}, {64, 48, 2301}}) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        const Tensor a = random_uniform(ta ? Shape{k, m} : Shape{m, k}, -1, 1, 1).to(DType::f32);
        const Tensor b = random_uniform(tb ? Shape{n, k} : Shape{k, n}, -1, 1, 2).to(DType::f32);
        const Tensor expected = matmul(rounded(a).to(DType::f64), rounded(b).to(DType::f64), ta, tb);
        const Tensor exact = matmul(a.to(DType::f64), b.to(DType::f64), ta, tb);
        const PrecisionScope scope(bf16);
        const Tensor c = matmul(a, b, ta, tb);
        for (int64_t i = 0; i < c.numel(); ++i) {
          ASSERT_NEAR(c.data<float>()[i], expected.data<double>()[i], 2e-4) << m << " " << n << " " << k << ta << tb;
          differ += std::abs(c.data<float>()[i] - exact.data<double>()[i]) > 2e-3;
        }
      }
    }
  }
  EXPECT_GT(differ, 1000) << "nothing was rounded";
}

// Products whose rows are rows of a batch: the bits of a row are those that it has in any other batch. The sizes reach
// from one row to several panels; n = 1 is the output layer's, k = 2,500 a wide first layer's.
TEST(GemmRows, HaveTheSameBitsBesideAnyOtherRows) {
  constexpr int64_t kRows = 1300;
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{1, 400},
                             {1, 16},
                             {1, 64},
                             {1, 255},
                             {1, 2500},
                             {1, 624},
                             {3, 100},
                             {17, 33},
                             {64, 144},
                             {100, 2500},
                             {400, 400},
                             {400, 624},
                             {401, 401},
                             {1000, 100}}) {
    const Tensor a = random_uniform({kRows, k}, -1, 1, 1).to(DType::f32),
                 b = random_uniform({n * k}, -1, 1, 2).to(DType::f32),
                 bias = random_uniform({n}, -1, 1, 3).to(DType::f32);
    for (const bool transpose_b : {true, false}) {
      const auto rows = [&, n = n, k = k](int64_t first, int64_t count) {
        Gemm g;
        g.m = count;
        g.n = g.ldc = n;
        g.k = g.lda = k;
        g.transpose_b = transpose_b;
        g.ldb = transpose_b ? k : n;
        const Tensor c = Tensor::empty({count, n});
        gemm<float>(kCpu, g, a.data<float>() + first * k, b.data<float>(), c.data<float>(), bias.data<float>());
        return c;
      };
      const Tensor all = rows(0, kRows);
      for (const int64_t count : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 16, 31, 64, 65, 97, 100, 320, 500, 1000}) {
        for (const int64_t first : {int64_t{0}, int64_t{5}, kRows - count}) {
          EXPECT_EQ(rows(first, count).to_vector<float>(), all.rows(first, count).to_vector<float>())
              << count << " rows from " << first << ", n = " << n << ", k = " << k << (transpose_b ? ", B^T" : "");
        }
      }
      // Pieces of rows that share an arranged B, as fused layers cut them.
      Gemm piece;
      piece.m = 320;
      piece.n = piece.ldc = n;
      piece.k = piece.lda = k;
      piece.transpose_b = transpose_b;
      piece.ldb = transpose_b ? k : n;
      const cpu::SharedOperand<float, float> shared(piece, b.data<float>());
      for (const int64_t count : {1, 3, 13, 97, 100, 320}) {
        const Tensor c = Tensor::empty({count, n});
        if (n == 1) continue;  // a fused layer with one output computes dot products instead
        shared.multiply(count, a.data<float>() + 5 * k, c.data<float>(), bias.data<float>());
        EXPECT_EQ(c.to_vector<float>(), all.rows(5, count).to_vector<float>())
            << "arranged, n = " << n << ", k = " << k;
      }
    }
  }
}

TEST(GemmRoute, DoesNotReadTheNumberOfRows) {
  for (const int64_t n : {1, 2, 64, 400, 5000}) {
    for (const int64_t k : {1, 16, 255, 256, 624, 5000}) {
      Gemm g;
      g.n = g.ldc = n;
      g.k = g.lda = g.ldb = k;
      g.transpose_b = true;
      g.m = 1;
      const GemmWay one = route(g, DType::f32, GemmPrecision::f32, kCpu).way;
      for (const int64_t m : {2, 12, 13, 3206, 5000, 100000}) {
        g.m = m;
        EXPECT_EQ(route(g, DType::f32, GemmPrecision::f32, kCpu).way, one) << m << " rows, n = " << n << ", k = " << k;
      }
    }
  }
}

TEST(Gemm, BitsDoNotDependOnThreads) {
  for (const bool weight_gradient : {false, true}) {
    Gemm g;
    g.m = weight_gradient ? 400 : 1024;
    g.n = weight_gradient ? 112 : 400;
    g.k = weight_gradient ? 4096 : 112;
    g.transpose_a = weight_gradient;
    g.transpose_b = !weight_gradient;
    g.lda = g.transpose_a ? g.m : g.k;
    g.ldb = g.transpose_b ? g.k : g.n;
    g.ldc = g.n;
    const auto a = random_uniform({g.m * g.k}, -1, 1, 1).to(DType::f32),
               b = random_uniform({g.k * g.n}, -1, 1, 2).to(DType::f32);
    std::vector<float> first;
    for (int threads : {1, 2, 3, 4}) {
      set_num_threads(threads);
      Tensor c = Tensor::zeros({g.m * g.n});
      gemm<float>(kCpu, g, a.data<float>(), b.data<float>(), c.data<float>());
      if (first.empty()) first = c.to_vector<float>();
      EXPECT_EQ(c.to_vector<float>(), first) << threads << " threads";
    }
  }
}

}  // namespace
}  // namespace kdef::ops
