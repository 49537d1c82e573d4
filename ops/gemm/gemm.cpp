#include "ops/gemm/gemm.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <type_traits>
#include <vector>

#include "core/base/parallel.h"
#include "ops/gemm/vector.h"
#if defined(KDEF_HAS_CUDA)
#include "ops/gemm/cuda.h"
#endif

namespace kdef::ops {

namespace {
std::atomic<GemmBackend> g_backend{GemmBackend::automatic};
thread_local GemmRecorder* t_recorder = nullptr;
thread_local GemmPrecision t_precision = GemmPrecision::f32;

// oneDNN computes bf16 on any processor, but only with these instructions faster than fp32.
bool has_bf16_products() {
#if defined(KDEF_HAS_ONEDNN) && defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") > 0;
#else
  return false;
#endif
}
}  // namespace

GemmPrecision parse_precision(const std::string& name) {
  if (name == "f32") return GemmPrecision::f32;
  if (name == "tf32") return GemmPrecision::tf32;
  if (name == "bf16") return GemmPrecision::bf16;
  throw InputError(cat("precision '", name, "' is unknown; known: f32, tf32, bf16"));
}

void check_precision(GemmPrecision precision, Device device) {
#if defined(KDEF_HAS_CUDA)
  if (!device.is_cpu()) return cuda::check_precision(precision);
#endif
  require_cpu(device, "gemm");
  if (precision == GemmPrecision::tf32)
    throw InputError("precision tf32 is of CUDA devices; on the CPU use f32 or bf16");
  if (precision == GemmPrecision::bf16 && !has_bf16_products()) {
    throw InputError(
        "precision bf16 needs oneDNN and a processor with AVX512-BF16 or AMX; this build or processor has them not; "
        "use f32");
  }
}

GemmPrecision gemm_precision() { return t_precision; }

PrecisionScope::PrecisionScope(GemmPrecision precision) : before_(t_precision) { t_precision = precision; }
PrecisionScope::~PrecisionScope() { t_precision = before_; }

GemmRecorder::GemmRecorder() : before_(t_recorder) { t_recorder = this; }
GemmRecorder::~GemmRecorder() { t_recorder = before_; }

void set_gemm_backend(GemmBackend backend) { g_backend = backend; }

const char* gemm_backend_name(Device device) {
#if defined(KDEF_HAS_CUDA)
  if (!device.is_cpu()) return cuda::gemm_version();
#endif
  require_cpu(device, "gemm");
#if defined(KDEF_HAS_ONEDNN)
  if (g_backend == GemmBackend::automatic) return onednn::version();
#endif
  return "reference";
}

namespace reference {

// C row by row: c[i, :] += op(A)[i, l] * op(B)[l, :] for l = 0..k-1 in order. The columns are cut into panels
// that stay in cache; a transposed B panel is copied row-major first, so that the inner loop always runs
// along a row.
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

}  // namespace reference

namespace {
template <class T>
void gemm_cpu(const Gemm& g, const T* a, const T* b, T* c, const T* bias) {
  if constexpr (std::is_same_v<T, float>) {
    if (g_backend == GemmBackend::automatic && g.k > 0) {
      if (cpu::gemm_with_vector(g, a, b, c, bias)) return;
#if defined(KDEF_HAS_ONEDNN)
      return onednn::gemm(g, a, b, c, bias, t_precision);
#endif
    }
  }
  reference::gemm(g, a, b, c, bias);
}
}  // namespace

namespace cpu {

void note_product(const Gemm& whole) {
  if (t_recorder) t_recorder->products.push_back(whole);
}

template <class T, class U>
void gemm_piece(const Gemm& g, const U* a, const U* b, T* c, const T* bias) {
  if constexpr (std::is_same_v<U, float>) {
    if (g_backend == GemmBackend::automatic && gemm_with_vector(g, a, b, c, bias)) return;
  }
#if defined(KDEF_HAS_ONEDNN)
  if constexpr (std::is_same_v<T, float>) {
    if (g_backend == GemmBackend::automatic && g.k > 0) return onednn::gemm_piece(g, a, b, c, bias);
  }
#endif
  if constexpr (std::is_same_v<T, U>)
    reference::gemm(g, a, b, c, bias);
  else
    throw Error("gemm_piece: bf16 operands need oneDNN");
}

bool rounds_operands([[maybe_unused]] const Gemm& g) {
#if defined(KDEF_HAS_ONEDNN)
  return g_backend == GemmBackend::automatic && t_precision == GemmPrecision::bf16 && onednn::worth_rounding(g);
#else
  return false;
#endif
}

template <class T, class U>
SharedOperand<T, U>::SharedOperand(const Gemm& piece, const T* b) : piece_(piece) {
  KDEF_CHECK(!piece.transpose_a && !piece.accumulate && piece.batch == 1, "gemm: a shared operand of another product");
#if defined(KDEF_HAS_ONEDNN)
  if constexpr (std::is_same_v<T, float>) {
    if (g_backend == GemmBackend::automatic && piece.k > 0) {
      arranged_ = onednn::arrange<U>(piece, b);
      return;
    }
  }
#endif
  if constexpr (std::is_same_v<T, U>)
    b_ = b;
  else
    throw Error("gemm: bf16 operands need oneDNN");
}

template <class T, class U>
void SharedOperand<T, U>::multiply(int64_t rows, const U* a, T* c, const T* bias) const {
#if defined(KDEF_HAS_ONEDNN)
  if constexpr (std::is_same_v<T, float>) {
    if (arranged_.defined()) return onednn::gemm_piece(piece_, rows, a, arranged_, c, bias);
  }
#endif
  Gemm g = piece_;
  g.m = rows;
  gemm_piece(g, a, b_, c, bias);
}

template class SharedOperand<float, float>;
template class SharedOperand<float, BFloat16>;
template class SharedOperand<double, double>;

template void gemm_piece(const Gemm&, const float*, const float*, float*, const float*);
template void gemm_piece(const Gemm&, const double*, const double*, double*, const double*);
template void gemm_piece(const Gemm&, const BFloat16*, const BFloat16*, float*, const float*);

}  // namespace cpu

template <class T>
void gemm(Device device, const Gemm& g, const T* a, const T* b, T* c, const T* bias) {
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  cpu::note_product(g);
#if defined(KDEF_HAS_CUDA)
  if (!device.is_cpu()) return cuda::gemm(g, a, b, c, bias, t_precision);
#endif
  require_cpu(device, "gemm");
  gemm_cpu(g, a, b, c, bias);
}

void gemm(const Gemm& g, const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& bias) {
  KDEF_CHECK(a.dtype() == b.dtype() && a.device() == b.device() && a.device() == c.device(), "gemm: ", describe(a),
             " and ", describe(b), " to ", describe(c));
  if (a.dtype() == DType::bf16) {
#if defined(KDEF_HAS_CUDA)
    if (!a.device().is_cpu()) {
      cpu::note_product(g);
      return cuda::gemm(g, a.data<BFloat16>(), b.data<BFloat16>(), c.data<float>(),
                        bias.defined() ? bias.data<float>() : nullptr);
    }
#endif
    throw Error("gemm: products of bf16 tensors are of CUDA devices");
  }
  for_float(c.dtype(), "gemm", [&]<class T>() {
    gemm<T>(a.device(), g, a.data<T>(), b.data<T>(), c.data<T>(), bias.defined() ? bias.data<T>() : nullptr);
  });
}

#if defined(KDEF_HAS_CUDA)
void cuda::check_rounded(const Gemm& g, const float* bias) {
  for (const int64_t step : {g.lda, g.ldb, g.stride_a, g.stride_b}) {
    KDEF_CHECK(step % kRoundedUnit == 0, "gemm: rounded operands [", g.m, ", ", g.k, "] x [", g.k, ", ", g.n,
               "] whose rows are ", g.lda, " and ", g.ldb, " apart, matrices ", g.stride_a, " and ", g.stride_b,
               "; all must be multiples of ", kRoundedUnit);
  }
  KDEF_CHECK(bias == nullptr || !g.accumulate, "gemm: an accumulated product with a bias");
}
#endif

DType operand_type(const Tensor& x) {
  return !x.device().is_cpu() && x.dtype() == DType::f32 && t_precision == GemmPrecision::bf16 ? DType::bf16
                                                                                               : x.dtype();
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
  throw Error(cat("gemm: operands are rounded by themselves on CUDA devices, got ", describe(x)));
}

template void gemm<float>(Device, const Gemm&, const float*, const float*, float*, const float*);
template void gemm<double>(Device, const Gemm&, const double*, const double*, double*, const double*);

}  // namespace kdef::ops
