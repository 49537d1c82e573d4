#include <type_traits>
#include <vector>

#include "core/cuda/emulated.h"
#include "ops/gemm/cuda.h"
#include "ops/gemm/reference.h"

// Stands in for cublasLt where the device is emulated: the reference loop.

namespace kdef::ops::cuda {
namespace {

// The operand as stored, rounded to bf16 and widened again.
std::vector<float> rounded(const float* x, int64_t rows, int64_t columns, int64_t leading, int64_t batch,
                           int64_t stride) {
  std::vector<float> all(x, x + (batch - 1) * stride + (rows - 1) * leading + columns);
  std::vector<BFloat16> bits(static_cast<size_t>(rows * columns));
  for (int64_t i = 0; i < (stride == 0 ? 1 : batch); ++i) {
    round_to_bf16(x + i * stride, 1, 0, rows, columns, leading, bits.data(), columns);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < columns; ++j) {
        all[static_cast<size_t>(i * stride + r * leading + j)] = from_bf16(bits[static_cast<size_t>(r * columns + j)]);
      }
    }
  }
  return all;
}

std::vector<float> widened(const BFloat16* x, int64_t rows, int64_t columns, int64_t leading, int64_t batch,
                           int64_t stride) {
  std::vector<float> all(static_cast<size_t>((batch - 1) * stride + (rows - 1) * leading + columns));
  for (size_t i = 0; i < all.size(); ++i) {
    all[i] = from_bf16(x[i]);
  }
  return all;
}

}  // namespace

template <class T>
void gemm(const Gemm& g, const T* a, const T* b, T* c, const T* bias, GemmPrecision precision) {
  kdef::cuda::emulated::enqueue([=] {
    if constexpr (std::is_same_v<T, float>) {
      if (precision == GemmPrecision::bf16) {
        const auto ra = rounded(a, g.transpose_a ? g.k : g.m, g.transpose_a ? g.m : g.k, g.lda, g.batch, g.stride_a);
        const auto rb = rounded(b, g.transpose_b ? g.n : g.k, g.transpose_b ? g.k : g.n, g.ldb, g.batch, g.stride_b);
        return reference::gemm(g, ra.data(), rb.data(), c, bias);
      }
    }
    reference::gemm(g, a, b, c, bias);
  });
}

void gemm(const Gemm& g, const BFloat16* a, const BFloat16* b, float* c, const float* bias) {
  check_rounded(g, bias);
  kdef::cuda::emulated::enqueue([=] {
    const auto ra = widened(a, g.transpose_a ? g.k : g.m, g.transpose_a ? g.m : g.k, g.lda, g.batch, g.stride_a);
    const auto rb = widened(b, g.transpose_b ? g.n : g.k, g.transpose_b ? g.k : g.n, g.ldb, g.batch, g.stride_b);
    reference::gemm(g, ra.data(), rb.data(), c, bias);
  });
}

template void gemm<float>(const Gemm&, const float*, const float*, float*, const float*, GemmPrecision);
template void gemm<double>(const Gemm&, const double*, const double*, double*, const double*, GemmPrecision);

const char* gemm_version() { return "reference, for the emulated device"; }
void check_precision(GemmPrecision) {}

}  // namespace kdef::ops::cuda
