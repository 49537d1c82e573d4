// How a matrix product is computed: by which backend, cut in which way, in which precision. This is the one place that
// decides; gemm(), the ops, the fused ops and the benchmark ask here.
//
// The rule for predictions: the sums of a row of C do not depend on the rows beside it. In all products but the
// gradient of a weight, the rows of C are rows of the batch, A is not transposed, and m is the size of the batch.
// There, m must not change the order of a row's sums: it may only decide into how many panels of rows the product is
// cut. In the gradient of a weight A is transposed, and the batch is k.
#pragma once

#include "core/tensor/tensor.h"
#include "ops/gemm/gemm.h"

namespace kdef::ops {

enum class GemmWay {
  reference,         // the reference loop
  matrix_by_vector,  // n = 1 and large k: a dot product per row of A (vector.h)
  vector_by_matrix,  // m = 1: the rows of B, each times a number, are added up (vector.h)
  outer_product,     // k = 1 (vector.h)
  row_panels,        // oneDNN, one call per panel of rows of C
  column_panels,     // oneDNN, one call per panel of columns of C
  groups,            // oneDNN, one call per part of the sums over k; partial results are added up in order
  cublas             // cublasLt, or the reference loop where the device is emulated
};

struct Route {
  GemmWay way;
  GemmPrecision precision;  // of this product: f32 where rounding costs more time than it saves
  bool takes_rounded;       // the operands may be given as bf16 tensors, as round_operand() makes them (CUDA only)
};

/// The route of a product of `type` (f32 or f64) where `precision` is asked for.
Route route(const Gemm& g, DType type, GemmPrecision precision, Device device);
/// The route of a product of x's type, on x's device, in this thread's precision.
inline Route route(const Gemm& g, const Tensor& x) { return route(g, x.dtype(), gemm_precision(), x.device()); }

/// Whether a product has enough operations to be cut for the threads.
bool is_large(const Gemm& g);

/// Whether the forward product of a linear layer shares a hidden layer's pass over memory on the CPU (hidden_linear).
/// With one output it always does. With more it does from 8 rows per unit on: the partial sums of the weight's gradient
/// cost more than is saved before (measured; docs/performance.md). Both ways give a row the same bits.
bool hidden_linear_pays(int64_t rows, int64_t in, int64_t out);

/// Operands are rounded to bf16 only in products whose m, n and k are all at least this: rounding smaller ones costs
/// more time than the product saves.
inline constexpr int64_t kMinRounded = 16;
/// Rows of an operand in bf16 start at multiples of this many numbers, which are 16 bytes.
inline constexpr int64_t kRoundedUnit = 8;

/// The type in which an op stores a result that products alone read: bf16 for an f32 tensor on a CUDA device whose
/// products are in bf16, else x's type. (On the CPU a product rounds its operands itself.)
DType operand_type(const Tensor& x);
/// The type of the numbers that a product of tensors like x multiplies, as an attribute of ops: "f64", "f32", "tf32",
/// or "bf16" where the product rounds its operands.
const char* operands_of(const Gemm& g, const Tensor& x);
/// x of f32 on a CUDA device, rounded to bf16, off the tape; x itself if it is bf16 already.
Tensor round_operand(const Tensor& x);

}  // namespace kdef::ops
