#include "ops/gemm/route.h"

#include <algorithm>

#if defined(KDEF_HAS_CUDA)
#include "ops/gemm/cuda.h"
#endif

namespace kdef::ops {
namespace {

// Floating-point operations from which a product is cut for the threads, and from which it is worth rounding its
// operands. An operand of m x k is rounded at a cost of about 1 / n of the product.
constexpr double kLargeProduct = 4e6;

// Inputs from which a layer of one output is a dot product per row; oneDNN multiplies shorter rows as fast.
constexpr int64_t kLongDot = 256;

bool is_worth_rounding(const Gemm& g) { return std::min({g.m, g.n, g.k}) >= kMinRounded; }

// Whether op(B) is one matrix whose rows lie in memory without gaps between their numbers.
bool has_rows_of_b(const Gemm& g) { return g.batch == 1 && (!g.transpose_b || g.ldb == 1); }

// The gradient of a weight: the batch is k, so that the sizes of C and of the sums may decide together.
GemmWay way_of_weight_gradient(const Gemm& g) {
  const bool large = is_large(g);
  if (g.k == 1 && has_rows_of_b(g) && large) return GemmWay::outer_product;
  if (g.m == 1 && g.batch == 1 && !g.transpose_b && large) return GemmWay::vector_by_matrix;
#if defined(KDEF_HAS_ONEDNN)
  // Sums over many rows: a panel of C would read one operand whole.
  if (large && g.k >= 2048 && g.k >= 4 * std::max(g.m, g.n)) return GemmWay::groups;
  return g.m >= g.n ? GemmWay::row_panels : GemmWay::column_panels;
#else
  return GemmWay::reference;
#endif
}

// The rows of C are rows of the batch: m does not decide.
GemmWay way_of_rows(const Gemm& g) {
  if (g.n == 1 && g.k >= kLongDot && g.batch == 1 && (g.transpose_b || g.ldb == 1)) return GemmWay::matrix_by_vector;
  if (g.k == 1 && has_rows_of_b(g)) return GemmWay::outer_product;
#if defined(KDEF_HAS_ONEDNN)
  return GemmWay::row_panels;
#else
  return GemmWay::reference;
#endif
}

}  // namespace

bool is_large(const Gemm& g) {
  return 2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k) >= kLargeProduct;
}

Route route(const Gemm& g, DType type, GemmPrecision precision, Device device) {
  const bool bf16 = precision == GemmPrecision::bf16 && is_worth_rounding(g);
  if (!device.is_cpu()) {
    if (type != DType::f32) return {GemmWay::cublas, GemmPrecision::f32, false};
    const auto is_aligned = [](int64_t step) { return step % kRoundedUnit == 0; };
    const bool takes_rounded =
        bf16 && is_aligned(g.lda) && is_aligned(g.ldb) && is_aligned(g.stride_a) && is_aligned(g.stride_b);
    return {GemmWay::cublas, precision == GemmPrecision::bf16 && !bf16 ? GemmPrecision::f32 : precision, takes_rounded};
  }
  if (type != DType::f32 || gemm_backend() == GemmBackend::reference || g.k == 0)
    return {GemmWay::reference, GemmPrecision::f32, false};
  const GemmWay way = g.transpose_a ? way_of_weight_gradient(g) : way_of_rows(g);
  const bool by_onednn = way == GemmWay::row_panels || way == GemmWay::column_panels || way == GemmWay::groups;
  return {way, by_onednn && bf16 && is_large(g) ? GemmPrecision::bf16 : GemmPrecision::f32, false};
}

bool hidden_linear_pays(int64_t rows, int64_t in, int64_t out) {
  return rows > 0 && (out == 1 || rows >= 8 * std::max(in, out));
}

DType operand_type(const Tensor& x) {
  return !x.device().is_cpu() && x.dtype() == DType::f32 && gemm_precision() == GemmPrecision::bf16 ? DType::bf16
                                                                                                    : x.dtype();
}

const char* operands_of(const Gemm& g, const Tensor& x) {
  return x.dtype() == DType::f32 ? name_of(route(g, x).precision) : name_of(x.dtype());
}

Tensor round_operand(const Tensor& x) {
  if (x.dtype() == DType::bf16) return x;
#if defined(KDEF_HAS_CUDA)
  if (!x.device().is_cpu()) {
    const Tensor y = Tensor::empty(x.shape(), DType::bf16, x.device());
    cuda::round_to_bf16(x.data<float>(), 1, 0, 1, x.numel(), x.numel(), y.data<BFloat16>(), x.numel());
    return y;
  }
#endif
  throw Error(cat("gemm: operands are rounded beforehand on CUDA devices only, got ", describe(x)));
}

}  // namespace kdef::ops
