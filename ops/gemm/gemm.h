// Matrix products behind one interface. The reference loop defines the meaning of a product and serves fp64 on the CPU;
// faster backends serve the rest. route.h says which backend computes a product and how.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor/tensor.h"
#include "ops/gemm/precision.h"

namespace kdef::ops {

/// C[m, n] (+)= op(A)[m, k] op(B)[k, n] (+ bias[n] on every row). Matrices are row-major; a leading dimension (lda,
/// ldb, ldc) is the number of elements from one stored row to the next. The product is repeated `batch` times; a stride
/// is the number of elements from one matrix to the next, and 0 means the same matrix each time.
struct Gemm {
  int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;  // op(X) = X^T: A is stored [k, m], B [n, k]
  int64_t lda = 0, ldb = 0, ldc = 0;
  int64_t batch = 1, stride_a = 0, stride_b = 0, stride_c = 0;
  int64_t stride_bias = 0;
  bool accumulate = false;  // C += instead of C =
};

/// Computes the product on `device`. A, B, C and the bias (which may be null) are of type T: float or double. On the
/// CPU a row of C has the same bits whatever m is, unless A is transposed.
template <class T>
void gemm(Device device, const Gemm& g, const T* a, const T* b, T* c, const T* bias = nullptr);

/// Computes the product of tensors on one device. a, b and bias (which may be undefined) have c's type; on CUDA a and b
/// may instead both be bf16, with c and bias in f32.
void gemm(const Gemm& g, const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& bias = {});

enum class GemmBackend { automatic, reference };
/// With `reference`, fp32 products on the CPU go through the reference loop too: for tests and audits.
void set_gemm_backend(GemmBackend backend);
GemmBackend gemm_backend();
/// "oneDNN 2.6.3" or "reference"; for a CUDA device "cublasLt 13.1.0".
const char* gemm_backend_name(Device device = kCpu);

/// Collects every product that this thread computes while the recorder is alive, for benchmarks that run the products
/// alone. A fused op that cuts a product into pieces counts as one whole product.
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

}  // namespace kdef::ops
