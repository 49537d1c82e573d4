// The kernels of the engine itself: sums of gradients, and tensors filled with a number.
#pragma once

#include "core/tensor/dispatch.h"
#include "core/tensor/tape.h"

namespace kdef {

/// a += b
KDEF_KERNEL(void, accumulate, const Tensor& a, const Tensor& b)
/// table[ids[u]] += values[u] for every u whose id is not kNoRow.
KDEF_KERNEL(void, accumulate_rows, const Tensor& table, const RowGradient& rows)
/// Every element of t, floating or integer, becomes `value`. CUDA only: the host writes its own memory.
namespace cuda {
void fill(const Tensor& t, double value);
}

}  // namespace kdef
