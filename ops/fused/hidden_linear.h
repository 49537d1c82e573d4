// A linear layer over a hidden layer, in one op: it normalises, activates and drops a chunk of rows, and multiplies it.
#pragma once

#include "core/tensor/tape.h"
#include "ops/gemm/route.h"
#include "ops/norm.h"

namespace kdef::ops {

extern const OpInfo kHiddenLinearInfo;

/// z = linear(batch_norm_relu_dropout(x, hidden), weight, bias): x [B, K], a single hidden layer of K columns, weight
/// [N, K], bias [N] or undefined -> [B, N].
///
/// On the CPU the hidden layer is never whole in memory. Forward, a chunk of its rows is computed in cache and
/// multiplied there. Backward, the chunk is computed again for the gradient of the weight. The op moves nine and a half
/// matrices of the size of x; the two ops would move sixteen. The backward pass uses up to 16 threads. With one output,
/// neither the hidden layer nor its gradient is stored, and all threads are used.
///
/// x and weight always get their gradients. Where the product is in bf16 (ops/gemm/route.h), so is dx. Then x
/// should be the result of a product. On other devices than the CPU, this is the two ops, one after the other.
Tensor hidden_linear(const Tensor& x, const HiddenLayer& hidden, const Tensor& weight, const Tensor& bias);

}  // namespace kdef::ops
