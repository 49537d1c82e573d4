// Matrix products behind one interface. The reference loop defines the meaning, serves fp64 and every build;
// oneDNN serves fp32. The backend is chosen once per device, not per op.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor/dispatch.h"
#include "core/tensor/tensor.h"

namespace kdef::ops {

/// C[m, n] (+)= op(A)[m, k] op(B)[k, n] (+ bias[n] on every row), row-major with leading dimensions (elements
/// from one stored row to the next), repeated `batch` times with strides (0: the same matrix each time).
struct Gemm {
  int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;  // op(X) = X^T: A is stored [k, m], B [n, k]
  int64_t lda = 0, ldb = 0, ldc = 0;
  int64_t batch = 1, stride_a = 0, stride_b = 0, stride_c = 0;
  int64_t stride_bias = 0;
  bool accumulate = false;  // C += instead of C =
};

/// Runs the product on `device`. A, B, C and bias (may be null) are of type T.
template <class T>
void gemm(Device device, const Gemm& g, const T* a, const T* b, T* c, const T* bias = nullptr);

/// The same of tensors on one device: a, b and bias (may be undefined) of c's type; or on CUDA a and b of bf16, c and
/// bias of f32.
void gemm(const Gemm& g, const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& bias = {});

enum class GemmBackend { automatic, reference };
/// `reference` makes fp32 products run through the reference loop too: for tests and audits.
void set_gemm_backend(GemmBackend backend);
/// "oneDNN 2.6.3" or "reference"; of a CUDA device "cublasLt 13.1.0".
const char* gemm_backend_name(Device device = kCpu);

/// Precision of fp32 products: f32, tf32 (CUDA: operands rounded to 10 bits of mantissa), or bf16 operands (rounded to
/// nearest even), with fp32 sums and result. Small products, where rounding would cost more than it saves, stay fp32.
enum class GemmPrecision { f32, tf32, bf16 };
/// "f32", "tf32", "bf16"; throws InputError for another name.
GemmPrecision parse_precision(const std::string& name);
/// Throws InputError where the device, or the build, cannot do it, or not faster than f32.
void check_precision(GemmPrecision precision, Device device);

/// The precision of the products that this thread asks for: f32 outside of a PrecisionScope.
GemmPrecision gemm_precision();

/// What a kernel may write as that makes an operand of products from x, so that it need not be rounded by itself: bf16
/// on a CUDA device in that precision, else x's type.
DType operand_type(const Tensor& x);
/// A CUDA device rounds the operands of a product in bf16 where no size of it is under this: small ones cost more to
/// round than that saves.
constexpr int64_t kLeastRounded = 16;
namespace cuda {
inline bool worth_rounding(const Gemm& g) {
  return g.m >= kLeastRounded && g.n >= kLeastRounded && g.k >= kLeastRounded;
}
}  // namespace cuda
/// Rows of operands that are rounded by themselves start at multiples of this many numbers, 16 bytes.
constexpr int64_t kRoundedUnit = 8;
/// x of f32 on a CUDA device as bf16, off the tape; x itself if it is bf16.
Tensor round_operand(const Tensor& x);

/// Sets it while it lives.
class PrecisionScope {
 public:
  explicit PrecisionScope(GemmPrecision precision);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  GemmPrecision before_;
};

/// Notes every product that this thread runs while it lives, those within fused ops as the whole products that they
/// are: for benchmarks that run the products alone.
class GemmRecorder {
 public:
  GemmRecorder();
  ~GemmRecorder();
  GemmRecorder(const GemmRecorder&) = delete;
  GemmRecorder& operator=(const GemmRecorder&) = delete;
  std::vector<Gemm> products;

 private:
  GemmRecorder* before_;
};

namespace cpu {
/// One product (batch 1) by this thread alone, for kernels that cut their work themselves and call note_product() for
/// the whole. Operands of type U: T, or BFloat16 with T = float, where rounds_operands() says so.
template <class T, class U>
void gemm_piece(const Gemm& g, const U* a, const U* b, T* c, const T* bias = nullptr);
void note_product(const Gemm& whole);
/// B of a product by pieces of its rows: as it is, or rounded where U is BFloat16, and rearranged for the backend.
template <class T, class U>
class SharedOperand {
 public:
  /// `piece` is a product of as many rows as most pieces have, of one A that is not transposed. b must outlive this.
  SharedOperand(const Gemm& piece, const T* b);
  /// C = A op(B) + bias for `rows` rows, by this thread alone.
  void multiply(int64_t rows, const U* a, T* c, const T* bias = nullptr) const;

 private:
  Gemm piece_;
  Tensor arranged_;  // by the backend, where there is one
  const U* b_ = nullptr;
};
/// Whether gemm() would round the operands of this product of fp32 in the precision that this thread asks for.
bool rounds_operands(const Gemm& g);
}  // namespace cpu

namespace reference {
template <class T>
void gemm(const Gemm& g, const T* a, const T* b, T* c, const T* bias);
}
#if defined(KDEF_HAS_ONEDNN)
namespace onednn {
void gemm(const Gemm& g, const float* a, const float* b, float* c, const float* bias, GemmPrecision precision);
void gemm_piece(const Gemm& g, const float* a, const float* b, float* c, const float* bias);
void gemm_piece(const Gemm& g, const BFloat16* a, const BFloat16* b, float* c, const float* bias);
/// B of g in the order that oneDNN prefers for it, of type U; and a product of `rows` rows with it.
template <class U>
Tensor arrange(const Gemm& g, const float* b);
template <class U>
void gemm_piece(const Gemm& g, int64_t rows, const U* a, const Tensor& arranged, float* c, const float* bias);
/// Rounding an operand of m x k costs a share of about 1 / n of the product: large products only.
bool worth_rounding(const Gemm& g);
const char* version();
}  // namespace onednn
#endif

}  // namespace kdef::ops
