// Matrix products on a CUDA device: cublasLt, or the reference loop where the device is emulated.
#pragma once

#include "ops/gemm/gemm.h"

namespace kdef::ops::cuda {

template <class T>
void gemm(const Gemm& g, const T* a, const T* b, T* c, const T* bias, GemmPrecision precision);

/// The same of operands that are rounded already; rows, and matrices of a batch, start at multiples of kRoundedUnit.
void gemm(const Gemm& g, const BFloat16* a, const BFloat16* b, float* c, const float* bias);

/// Throws unless that holds; a bias is for a product that does not accumulate.
void check_rounded(const Gemm& g, const float* bias);

/// "cublasLt 13.1.0.3"
const char* gemm_version();
/// Throws InputError where the device cannot do it.
void check_precision(GemmPrecision precision);

/// `count` matrices of rows x columns, `stride` apart, rounded to bf16 (nearest even; NaN stays NaN), their rows
/// `leading_to` apart and the matrices without gaps.
void round_to_bf16(const float* from, int64_t count, int64_t stride, int64_t rows, int64_t columns, int64_t leading,
                   BFloat16* to, int64_t leading_to);
/// Every row of c [batch][m, n] becomes bias [n], or 0 without one.
template <class T>
void set_rows(const Gemm& g, T* c, const T* bias);

}  // namespace kdef::ops::cuda
