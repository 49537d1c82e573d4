// Matrix products on a CUDA device: cublasLt, or the reference loop where the device is emulated.
#pragma once

#include "ops/gemm/route.h"

namespace kdef::ops::cuda {

/// The product in the precision that route() chose for it.
template <class T>
void gemm(const Gemm& g, const T* a, const T* b, T* c, const T* bias, GemmPrecision precision);

/// The product of operands that are rounded already. Rows, and the matrices of a batch, start at multiples of
/// kRoundedUnit numbers.
void gemm(const Gemm& g, const BFloat16* a, const BFloat16* b, float* c, const float* bias);

/// Throws unless rounded operands start at such multiples. A product that accumulates has no bias.
void check_rounded(const Gemm& g, const float* bias);

/// "cublasLt 13.1.0.3"
const char* gemm_version();
/// Throws InputError where the device cannot compute in this precision.
void check_precision(GemmPrecision precision);

/// Rounds `count` matrices of rows x columns to bf16 (to the nearest, ties to even; NaN stays NaN). Stored numbers are
/// `leading` apart from row to row and `stride` from matrix to matrix; results are `leading_to` apart from row to row,
/// and matrices follow each other without gaps.
void round_to_bf16(const float* from, int64_t count, int64_t stride, int64_t rows, int64_t columns, int64_t leading,
                   BFloat16* to, int64_t leading_to);
/// Every row of c [batch][m, n] becomes bias [n], or 0 without one.
template <class T>
void set_rows(const Gemm& g, T* c, const T* bias);

}  // namespace kdef::ops::cuda
