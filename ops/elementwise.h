// Elementwise functions, from the lists in elementwise_functors.h. All take f32 or f64.
#pragma once

#include "core/tensor/tape.h"
#include "ops/elementwise_functors.h"

namespace kdef::ops {

// Functions of one tensor; the result has x's shape.
#define KDEF_DECLARE(function, Functor, ...) \
  extern const OpInfo k##Functor##Info;      \
  Tensor function(const Tensor& x);
KDEF_UNARY_OPS(KDEF_DECLARE)
#undef KDEF_DECLARE

// Functions of one tensor and a number.
#define KDEF_DECLARE(function, Functor, ...) \
  extern const OpInfo k##Functor##Info;      \
  Tensor function(const Tensor& x, double c);
KDEF_SCALAR_OPS(KDEF_DECLARE)
#undef KDEF_DECLARE

// Functions of two tensors whose shapes broadcast: the shapes are aligned at the last axis, a missing axis counts as 1,
// and two sizes are equal or one of them is 1.
#define KDEF_DECLARE(function, Functor, ...) \
  extern const OpInfo k##Functor##Info;      \
  Tensor function(const Tensor& a, const Tensor& b);
KDEF_BINARY_OPS(KDEF_DECLARE)
#undef KDEF_DECLARE

/// The shape that two shapes broadcast to. Throws an error that names `op` if they do not broadcast.
Shape broadcast(const Shape& a, const Shape& b, const char* op);

/// Sums x over the axes along which `shape` was broadcast to x's shape. This is the gradient of broadcasting.
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace kdef::ops
