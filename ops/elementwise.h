// Elementwise functions, from the lists in elementwise_functors.h. All take f32 or f64.
#pragma once

#include "core/tensor/tape.h"
#include "ops/elementwise_functors.h"

namespace kdef::ops {

// One tensor: y has x's shape.
#define KDEF_DECLARE(function, Functor, ...) \
  extern const OpInfo k##Functor##Info;      \
  Tensor function(const Tensor& x);
KDEF_UNARY_OPS(KDEF_DECLARE)
#undef KDEF_DECLARE

// One tensor and a number.
#define KDEF_DECLARE(function, Functor, ...) \
  extern const OpInfo k##Functor##Info;      \
  Tensor function(const Tensor& x, double c);
KDEF_SCALAR_OPS(KDEF_DECLARE)
#undef KDEF_DECLARE

// Two tensors of shapes that broadcast: aligned at the last axis, sizes equal or 1, missing axes as 1.
#define KDEF_DECLARE(function, Functor, ...) \
  extern const OpInfo k##Functor##Info;      \
  Tensor function(const Tensor& a, const Tensor& b);
KDEF_BINARY_OPS(KDEF_DECLARE)
#undef KDEF_DECLARE

/// The shape two shapes broadcast to; throws naming `op` where they do not.
Shape broadcast(const Shape& a, const Shape& b, const char* op);

/// Sums x over the axes along which `shape` was broadcast to x's shape: the gradient of broadcasting.
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace kdef::ops
