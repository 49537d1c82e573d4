#include "ops/gemm/gemm.h"

#include <atomic>
#include <type_traits>

#include "core/tensor/dispatch.h"
#include "ops/gemm/pieces.h"
#include "ops/gemm/reference.h"
#include "ops/gemm/vector.h"
#if defined(KDEF_HAS_ONEDNN)
#include "ops/gemm/onednn.h"
#endif
#if defined(KDEF_HAS_CUDA)
#include "ops/gemm/cuda.h"
#endif

namespace kdef::ops {

namespace {
std::atomic<GemmBackend> g_backend{GemmBackend::automatic};
thread_local GemmRecorder* t_recorder = nullptr;
}  // namespace

void set_gemm_backend(GemmBackend backend) { g_backend = backend; }
GemmBackend gemm_backend() { return g_backend; }

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

GemmRecorder::GemmRecorder() : before_(t_recorder) { t_recorder = this; }
GemmRecorder::~GemmRecorder() { t_recorder = before_; }

namespace cpu {

void note_product(const Gemm& whole) {
  if (t_recorder) t_recorder->products.push_back(whole);
}

template <class T, class U>
void gemm_piece(const Gemm& g, const U* a, const U* b, T* c, const T* bias) {
  const GemmWay way = route(g, dtype_of<T>, GemmPrecision::f32, kCpu).way;
  if constexpr (std::is_same_v<U, float>) {
    if (is_with_vector(way)) return gemm_with_vector(way, g, a, b, c, bias);
  }
#if defined(KDEF_HAS_ONEDNN)
  if constexpr (std::is_same_v<T, float>) {
    if (way != GemmWay::reference) return onednn::gemm_piece(g, a, b, c, bias);
  }
#endif
  if constexpr (std::is_same_v<T, U>)
    reference::gemm(g, a, b, c, bias);
  else
    throw Error("gemm_piece: bf16 operands need oneDNN");
}

template <class T, class U>
SharedOperand<T, U>::SharedOperand(const Gemm& piece, const T* b) : piece_(piece) {
  KDEF_CHECK(!piece.transpose_a && !piece.accumulate && piece.batch == 1,
             "gemm: pieces that share an operand have A not transposed, one matrix each, and do not accumulate");
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

namespace {

template <class T>
void gemm_cpu(const Gemm& g, [[maybe_unused]] const Route& to, const T* a, const T* b, T* c, const T* bias) {
  if constexpr (std::is_same_v<T, float>) {
    if (cpu::is_with_vector(to.way)) return cpu::gemm_with_vector(to.way, g, a, b, c, bias);
#if defined(KDEF_HAS_ONEDNN)
    if (to.way != GemmWay::reference) return onednn::gemm(g, to, a, b, c, bias);
#endif
  }
  reference::gemm(g, a, b, c, bias);
}

}  // namespace

template <class T>
void gemm(Device device, const Gemm& g, const T* a, const T* b, T* c, const T* bias) {
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  cpu::note_product(g);
  const Route to = route(g, dtype_of<T>, gemm_precision(), device);
#if defined(KDEF_HAS_CUDA)
  if (!device.is_cpu()) return cuda::gemm(g, a, b, c, bias, to.precision);
#endif
  require_cpu(device, "gemm");
  gemm_cpu(g, to, a, b, c, bias);
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
    throw Error("gemm: products of bf16 tensors exist on CUDA devices only");
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
  KDEF_CHECK(bias == nullptr || !g.accumulate, "gemm: an accumulated product cannot have a bias");
}
#endif

template void gemm<float>(Device, const Gemm&, const float*, const float*, float*, const float*);
template void gemm<double>(Device, const Gemm&, const double*, const double*, double*, const double*);

}  // namespace kdef::ops
