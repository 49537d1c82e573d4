// A linear layer over a hidden layer whose normalisation, activation and dropout are done on the way.
#pragma once

#include "core/tensor/tape.h"
#include "ops/dropout.h"
#include "ops/gemm/route.h"

namespace kdef::ops {

extern const OpInfo kHiddenLinearInfo;

/// z = linear(batch_norm_relu_dropout(x, ..), weight, bias): x [B, K], gamma, beta and running buffers [K], weight
/// [N, K], bias [N] or undefined -> [B, N].
///
/// On the CPU the hidden layer is never whole in memory. Forward, a chunk of its rows is computed in cache and
/// multiplied there; backward, the chunk is computed again for the gradient of the weight. The op moves nine and a half
/// matrices of the size of x; the two ops would move sixteen. The backward pass uses up to 16 threads. With one output,
/// neither the hidden layer nor its gradient is stored at all, and all threads are used.
///
/// x and weight always get their gradients. Where the product is in bf16 (ops/gemm/route.h), dx is bf16 too, so that x
/// should be the result of a product. On other devices than the CPU, this is the two ops, one after the other.
Tensor hidden_linear(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                     const Tensor& running_var, bool training, double p, const DropoutKey& key, const Tensor& weight,
                     const Tensor& bias, double momentum = 0.1, double eps = 1e-5);

}  // namespace kdef::ops
