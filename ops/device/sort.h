// Sorting and prefix sums on a CUDA device, for gradients by rows (ops/embedding.cu).
#pragma once

#include "core/tensor/tensor.h"

namespace kdef::ops::cuda {

/// Sorts `keys` i32 [n], taken as unsigned numbers below 2^bits, and `values` i32 [n] with them. Stable: values of
/// equal keys keep their order. 1 <= bits <= 32.
void sort_pairs(Tensor& keys, Tensor& values, int bits);

/// y[i] = x[0] + .. + x[i], i32 [n].
void prefix_sum(const Tensor& x, const Tensor& y);

}  // namespace kdef::ops::cuda
