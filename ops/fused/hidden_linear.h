// A linear layer over a hidden layer whose normalisation, activation and dropout are done on the way.
#pragma once

#include "core/tensor/tape.h"
#include "ops/dropout.h"
#include "ops/gemm/route.h"

namespace kdef::ops {

extern const OpInfo kHiddenLinearInfo;

/// z = linear(batch_norm_relu_dropout(x, ..), weight, bias): x [B, K], gamma, beta and running buffers [K], weight
/// [N, K], bias [N] or undefined -> [B, N]. On the CPU the hidden layer is never whole in memory: a chunk of its rows
/// is made in cache and multiplied there, forward, and made again for the gradient of the weight, so that nine and a
/// half matrices of the batch are moved where the two ops move sixteen. Backward it uses up to 16 threads; with one
/// output neither it nor its gradient is made at all, and all threads are used. x and weight always get their
/// gradients. In bf16 (large enough products; ops/gemm/gemm.h) dx is rounded to bf16, so that x should be the result of
/// a product, and moves half as much. Elsewhere than on the CPU it is the two ops, one after the other.
Tensor hidden_linear(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                     const Tensor& running_var, bool training, double p, const DropoutKey& key, const Tensor& weight,
                     const Tensor& bias, double momentum = 0.1, double eps = 1e-5);

}  // namespace kdef::ops
