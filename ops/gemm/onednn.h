// Matrix products of oneDNN. Only with KDEF_HAS_ONEDNN.
#pragma once

#include "ops/gemm/route.h"

namespace kdef::ops::onednn {

/// The product on all threads, cut and rounded as `route` says.
void gemm(const Gemm& g, const Route& route, const float* a, const float* b, float* c, const float* bias);

/// The product on this thread alone.
void gemm_piece(const Gemm& g, const float* a, const float* b, float* c, const float* bias);
void gemm_piece(const Gemm& g, const BFloat16* a, const BFloat16* b, float* c, const float* bias);

/// B of g in the order that oneDNN prefers for products of g.m rows, of type U.
template <class U>
Tensor arrange(const Gemm& g, const float* b);
/// g with `rows` rows, on this thread alone; `arranged` is what arrange() made of g's B.
template <class U>
void gemm_piece(const Gemm& g, int64_t rows, const U* a, const Tensor& arranged, float* c, const float* bias);

/// "oneDNN 2.6.3"
const char* version();

}  // namespace kdef::ops::onednn
