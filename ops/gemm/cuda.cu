#include "core/cuda/launch.cuh"
#include "ops/device/tiles.cuh"
#include "ops/gemm/cuda.h"

namespace kdef::ops::cuda {
namespace {

struct RoundToBf16 {
  const float* from;
  BFloat16* to;
  int64_t stride, rows, columns, leading, leading_to;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t j = i % columns, row = i / columns, matrix = row / rows, r = row % rows;
    to[row * leading_to + j] = to_bf16(from[matrix * stride + r * leading + j]);
  }
};

// The same of numbers without gaps, V at a time.
template <int V>
struct RoundAll {
  const float* from;
  BFloat16* to;
  KDEF_DEVICE void operator()(int64_t i) const { store<V>(load<V>(from + i * V), to + i * V); }
};

template <class T>
struct SetRows {
  T* c;
  const T* bias;
  int64_t m, n, ldc, stride, stride_bias;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t j = i % n, row = i / n, matrix = row / m;
    c[matrix * stride + row % m * ldc + j] = bias != nullptr ? bias[matrix * stride_bias + j] : T(0);
  }
};

}  // namespace

void round_to_bf16(const float* from, int64_t count, int64_t stride, int64_t rows, int64_t columns, int64_t leading,
                   BFloat16* to, int64_t leading_to) {
  if (columns == leading && leading == leading_to && (count == 1 || stride == rows * columns)) {
    const int64_t n = count * rows * columns;
    return with_vectors(n, {from, to}, [&]<int V>() { kdef::cuda::for_each(n / V, RoundAll<V>{from, to}); });
  }
  kdef::cuda::for_each(count * rows * columns, RoundToBf16{from, to, stride, rows, columns, leading, leading_to});
}

template <class T>
void set_rows(const Gemm& g, T* c, const T* bias) {
  kdef::cuda::for_each(g.batch * g.m * g.n, SetRows<T>{c, bias, g.m, g.n, g.ldc, g.stride_c, g.stride_bias});
}
template void set_rows<float>(const Gemm&, float*, const float*);
template void set_rows<double>(const Gemm&, double*, const double*);

}  // namespace kdef::ops::cuda
