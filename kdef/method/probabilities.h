// What every fused objective starts with: the students' probabilities and their mean.
#pragma once

#include "core/tensor/tensor.h"
#include "ops/elementwise_functors.h"

namespace kdef {

/// Of one row: p[k] = sigmoid(z[k]) for M students. Returns sigmoid(mean_k z_k), or mean_k p_k.
template <class T>
KDEF_HD T row_probabilities(const T* z, int64_t m, bool mean_of_probabilities, T* p) {
  T logits = 0, probabilities = 0;
  for (int64_t k = 0; k < m; ++k) {
    p[k] = ops::Sigmoid::f(z[k]);
    logits += z[k];
    probabilities += p[k];
  }
  return mean_of_probabilities ? probabilities / static_cast<T>(m) : ops::Sigmoid::f(logits / static_cast<T>(m));
}

/// Throws Error unless z is [B, M], B and M above 0, y [B, 1], and w [B, 1] or undefined, all of one type.
void check_objective_input(const char* op, const Tensor& z, const Tensor& y, const Tensor& w);

}  // namespace kdef
