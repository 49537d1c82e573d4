// Products with a vector, which read their matrix once: an output layer of one logit, its weight's gradient, and its
// input's gradient.
#pragma once

#include "ops/gemm/route.h"

namespace kdef::ops::cpu {

inline bool is_with_vector(GemmWay way) {
  return way == GemmWay::matrix_by_vector || way == GemmWay::vector_by_matrix || way == GemmWay::outer_product;
}
/// Computes a product that route() sends one of these three ways. The order of a number's sums depends on k alone.
void gemm_with_vector(GemmWay way, const Gemm& g, const float* a, const float* b, float* c, const float* bias);

}  // namespace kdef::ops::cpu
