#include "ops/gemm/reference.h"

#include <algorithm>
#include <vector>

#include "core/base/parallel.h"

namespace kdef::ops::reference {

// C is computed row by row: c[i, :] += op(A)[i, l] * op(B)[l, :] for l = 0..k-1 in order. The columns are cut into
// panels that stay in cache. A panel of a transposed B is first copied to row-major order, so that the inner loop
// always runs along a row.
template <class T>
void gemm(const Gemm& g, const T* a, const T* b, T* c, const T* bias) {
  constexpr int64_t kPanel = 256, kRows = 32;
  const int64_t panels = divide_up(g.n, kPanel);
  for (int64_t batch = 0; batch < g.batch; ++batch) {
    const T* pa = a + batch * g.stride_a;
    const T* pb = b + batch * g.stride_b;
    T* pc = c + batch * g.stride_c;
    for (int64_t panel = 0; panel < panels; ++panel) {
      const int64_t j0 = panel * kPanel, width = std::min(g.n, j0 + kPanel) - j0;
      std::vector<T> packed;
      const T* bp = pb + j0;
      int64_t ldb = g.ldb;
      if (g.transpose_b) {
        packed.resize(static_cast<size_t>(g.k * width));
        for (int64_t j = 0; j < width; ++j) {
          for (int64_t l = 0; l < g.k; ++l) packed[static_cast<size_t>(l * width + j)] = pb[(j0 + j) * g.ldb + l];
        }
        bp = packed.data();
        ldb = width;
      }
      parallel_for(g.m, kRows, [=, &g](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
          T* row = pc + i * g.ldc + j0;
          if (!g.accumulate) std::fill_n(row, width, T(0));
          for (int64_t l = 0; l < g.k; ++l) {
            const T x = g.transpose_a ? pa[l * g.lda + i] : pa[i * g.lda + l];
            const T* from = bp + l * ldb;
            for (int64_t j = 0; j < width; ++j) row[j] += x * from[j];
          }
          if (bias) {
            for (int64_t j = 0; j < width; ++j) row[j] += bias[batch * g.stride_bias + j0 + j];
          }
        }
      });
    }
  }
}

template void gemm<float>(const Gemm&, const float*, const float*, float*, const float*);
template void gemm<double>(const Gemm&, const double*, const double*, double*, const double*);

}  // namespace kdef::ops::reference
