// A linear layer over the products of all pairs of two rows, in one op.
#pragma once

#include "core/tensor/tape.h"

namespace kdef::ops {

extern const OpInfo kOuterLinearInfo;

/// y[r, o] = sum over h, m of weight[o, h M + m] a[r, h] b[r, m] + bias[o]: a [R, H], b [R, M], weight [O, H M], bias
/// [O] or undefined -> [R, O]. It is a layer of the compressed interaction network (Lian et al., KDD 2018, arXiv
/// 1803.05170, eq. 6), for which a row is one row of the batch and one dimension of the embeddings.
///
/// On the CPU the R H M products are made in cache, block by block, and never stored: the op reads and writes matrices
/// of the size of a, b and y alone. Its products are in the type of the tensors, whatever the precision of the thread.
/// On other devices this is outer_linear_composed().
Tensor outer_linear(const Tensor& a, const Tensor& b, const Tensor& weight, const Tensor& bias);

/// The same of primitive ops.
Tensor outer_linear_composed(const Tensor& a, const Tensor& b, const Tensor& weight, const Tensor& bias);

}  // namespace kdef::ops
