// Pairs of fields.
#pragma once

#include "core/tensor/dispatch.h"
#include "core/tensor/tape.h"

namespace kdef::ops {

extern const OpInfo kUpperTriangleInfo;

/// The elements above the diagonal of x [B, F, F], row by row: [B, F (F-1) / 2].
Tensor upper_triangle(const Tensor& x);

// y <- the triangle of x, or with `scatter` x <- the triangle y and zero elsewhere.
KDEF_KERNEL(void, copy_triangle, const Tensor& x, const Tensor& y, bool scatter)

}  // namespace kdef::ops
