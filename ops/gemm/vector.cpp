#include "ops/gemm/vector.h"

#include <algorithm>

#include "core/base/parallel.h"
#include "ops/device/vectors.h"

namespace kdef::ops::cpu {
namespace {

// Floating-point operations from which it pays; smaller products are left to the general way.
constexpr double kWorth = 4e6;

// C [m, 1] of the rows of A.
void matrix_by_vector(const Gemm& g, const float* a, const float* b, float* c, const float* bias) {
  parallel_for(g.m, std::max<int64_t>(1, kPiece / g.k), [=, &g](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      float& to = c[i * g.ldc];
      to = (g.accumulate ? to : 0.0f) + dot(a + i * g.lda, b, g.k) + (bias ? *bias : 0.0f);
    }
  });
}

// C [1, n] of the rows of B, each times a number, added up part by part.
void vector_by_matrix(const Gemm& g, const float* a, const float* b, float* c, const float* bias) {
  constexpr int64_t kPart = 256;
  const int64_t parts = divide_up(g.k, kPart), stride = g.transpose_a ? g.lda : 1;
  const Tensor partial = Tensor::zeros({parts, g.n});
  parallel_for(parts, 1, [=, &g, &partial](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      float* to = partial.data<float>() + part * g.n;
      for (int64_t l = part * kPart; l < std::min(g.k, (part + 1) * kPart); ++l) {
        add_row(b + l * g.ldb, a[l * stride], g.n, to);
      }
    }
  });
  if (!g.accumulate) std::fill_n(c, g.n, 0.0f);
  for (int64_t part = 0; part < parts; ++part) add_row(partial.data<float>() + part * g.n, 1.0f, g.n, c);
  if (bias) add_row(bias, 1.0f, g.n, c);
}

// C [m, n] of one column and one row.
void outer_product(const Gemm& g, const float* a, const float* b, float* c, const float* bias) {
  const int64_t stride = g.transpose_a ? 1 : g.lda;
  parallel_for(g.m, std::max<int64_t>(1, kPiece / g.n), [=, &g](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      float* to = c + i * g.ldc;
      if (!g.accumulate) std::fill_n(to, g.n, 0.0f);
      add_row(b, a[i * stride], g.n, to);
      if (bias) add_row(bias, 1.0f, g.n, to);
    }
  });
}

}  // namespace

bool gemm_with_vector(const Gemm& g, const float* a, const float* b, float* c, const float* bias) {
  if (g.batch != 1) return false;
  const bool along_a = !g.transpose_a, column_of_b = g.transpose_b || g.ldb == 1;
  const bool along_b = !g.transpose_b, row_of_b = !g.transpose_b || g.ldb == 1;
  const bool worth = 2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k) >= kWorth;
  if (g.n == 1 && along_a && column_of_b && worth)
    matrix_by_vector(g, a, b, c, bias);
  else if (g.m == 1 && along_b && worth)
    vector_by_matrix(g, a, b, c, bias);
  else if (g.k == 1 && row_of_b && worth)
    outer_product(g, a, b, c, bias);
  else
    return false;
  return true;
}

}  // namespace kdef::ops::cpu
