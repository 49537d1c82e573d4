// Ops that only move elements: reshape, transpose, concatenate, split, stack, slice.
#pragma once

#include <vector>

#include "core/tensor/dispatch.h"
#include "core/tensor/tape.h"

namespace kdef::ops {

extern const OpInfo kReshapeInfo, kTransposeInfo, kConcatInfo, kSliceInfo;

/// The same elements under another shape of equal size; shares the data.
Tensor reshape(const Tensor& x, const Shape& shape);
/// x with the axes `a` and `b` exchanged.
Tensor transpose(const Tensor& x, int a, int b);
/// The tensors one after the other along `axis`. Their sizes agree in all other axes.
Tensor concat(const std::vector<Tensor>& xs, int axis);
/// Tensors of equal shape side by side along a new axis, which is axis `axis` of the result.
Tensor stack(const std::vector<Tensor>& xs, int axis);
/// The elements [first, first + count) of x along `axis`.
Tensor slice(const Tensor& x, int axis, int64_t first, int64_t count);
/// Cuts x along `axis` into slices of the given sizes, which add up to the size of the axis.
std::vector<Tensor> split(const Tensor& x, int axis, const std::vector<int64_t>& sizes);

// y[o, first_y + i, j] = x[o, first_x + i, j] for i < count; x seen as [outer, nx, inner], y as [outer, ny,
// inner].
KDEF_KERNEL(void, copy_slab, const Tensor& x, const Tensor& y, int64_t outer, int64_t inner, int64_t nx,
            int64_t first_x, int64_t ny, int64_t first_y, int64_t count)
// y = the elements of all xs, one tensor after the other
KDEF_KERNEL(void, join, const std::vector<Tensor>& xs, const Tensor& y)
// x as [p, m, q, n, r] -> y as [p, n, q, m, r]
KDEF_KERNEL(void, transpose_copy, const Tensor& x, const Tensor& y, int64_t p, int64_t m, int64_t q, int64_t n,
            int64_t r)

}  // namespace kdef::ops
