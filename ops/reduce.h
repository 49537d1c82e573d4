// Reductions over one axis or all.
#pragma once

#include "core/tensor/dispatch.h"
#include "core/tensor/tape.h"

namespace kdef::ops {

extern const OpInfo kSumInfo, kMeanInfo, kMaxInfo, kKMaxInfo;

/// Sum over `axis`; a negative axis counts from the last one. With `keep`, the axis stays in the result, with size 1.
Tensor sum(const Tensor& x, int axis, bool keep = false);
/// Mean over `axis`, which must not be empty.
Tensor mean(const Tensor& x, int axis, bool keep = false);
/// Mean over the rows (the leading axis) of a batch: mean(x, 0) of the rows of all members where x is this member's
/// rows in a group of processes (core/base/group.h). Every member gets the mean; a gradient goes to this member's rows.
Tensor batch_mean(const Tensor& x);
/// Largest element along `axis`; the gradient goes to the first of equal ones.
Tensor max(const Tensor& x, int axis, bool keep = false);
/// The k largest elements along `axis`, in the order in which they stand there; of equal ones the first. The axis has
/// size k in the result. This is the k-max pooling of Kalchbrenner et al., ACL 2014 (arXiv 1404.2188), eq. 4.
Tensor k_max(const Tensor& x, int axis, int64_t k);
/// Sum and mean of all elements, as a scalar.
Tensor sum(const Tensor& x);
Tensor mean(const Tensor& x);

/// The sums over the rows of x [B, C], of type `type`. They are not recorded: this is for backward functions. On CUDA x
/// may be bf16.
Tensor column_sums(const Tensor& x, DType type);

// x seen as [outer, n, inner]; y as [outer, inner].
KDEF_KERNEL(void, reduce_sum, const Tensor& x, const Tensor& y, int64_t outer, int64_t n, int64_t inner, double factor)
KDEF_KERNEL(void, reduce_max, const Tensor& x, const Tensor& y, const Tensor& index, int64_t outer, int64_t n,
            int64_t inner)
// x seen as [outer, n, inner]; y and index as [outer, k, inner]
KDEF_KERNEL(void, k_max_forward, const Tensor& x, const Tensor& y, const Tensor& index, int64_t outer, int64_t n,
            int64_t inner, int64_t k)
// dx[o, index[o, s, j], j] = dy[o, s, j], zero elsewhere
KDEF_KERNEL(void, k_max_backward, const Tensor& dy, const Tensor& index, const Tensor& dx, int64_t outer, int64_t n,
            int64_t inner, int64_t k)
// dx[o, i, j] = factor * dy[o, j]
KDEF_KERNEL(void, spread, const Tensor& dy, const Tensor& dx, int64_t outer, int64_t n, int64_t inner, double factor)
// dx[o, index[o, j], j] = dy[o, j], zero elsewhere
KDEF_KERNEL(void, scatter_max, const Tensor& dy, const Tensor& index, const Tensor& dx, int64_t outer, int64_t n,
            int64_t inner)

}  // namespace kdef::ops
