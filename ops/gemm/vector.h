// Products with a vector, which read their matrix once: an output layer of one logit, its weight's gradient, and its
// input's.
#pragma once

#include "ops/gemm/gemm.h"

namespace kdef::ops::cpu {

/// Runs a large product where m, n or k is 1 and the operands are stored so that it is along rows; false: nothing done.
/// The order of a number's sums depends on k alone.
bool gemm_with_vector(const Gemm& g, const float* a, const float* b, float* c, const float* bias);

}  // namespace kdef::ops::cpu
