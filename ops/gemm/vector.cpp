#include "ops/gemm/vector.h"

#include <algorithm>

#include "core/base/parallel.h"
#include "ops/device/vectors.h"

namespace kdef::ops::cpu {
namespace {

// C [m, 1]: a dot product for each row of A.
void matrix_by_vector(const Gemm& g, const float* a, const float* b, float* c, const float* bias) {
  parallel_for(g.m, std::max<int64_t>(1, kPiece / g.k), [=, &g](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      float& to = c[i * g.ldc];
      to = (g.accumulate ? to : 0.0f) + dot(a + i * g.lda, b, g.k) + (bias ? *bias : 0.0f);
    }
  });
}

// C [1, n]: the rows of B, each times its number of A, are added up in parts of kPart rows, and the parts are added in
// their order.
void vector_by_matrix(const Gemm& g, const float* a, const float* b, float* c, const float* bias) {
  constexpr int64_t kPart = 256;  // rows of B: enough work for one thread to hide the cost of handing it out
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

// C [m, n]: each number of the column A times the row B.
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

void gemm_with_vector(GemmWay way, const Gemm& g, const float* a, const float* b, float* c, const float* bias) {
  if (way == GemmWay::matrix_by_vector) return matrix_by_vector(g, a, b, c, bias);
  if (way == GemmWay::vector_by_matrix) return vector_by_matrix(g, a, b, c, bias);
  KDEF_CHECK(way == GemmWay::outer_product, "gemm: no product with a vector");
  outer_product(g, a, b, c, bias);
}

}  // namespace kdef::ops::cpu
