// The product as its definition says, for fp64 and for comparison.
#pragma once

#include "ops/gemm/gemm.h"

namespace kdef::ops::reference {

/// The terms of a sum are added in the order of k, on all threads row by row.
template <class T>
void gemm(const Gemm& g, const T* a, const T* b, T* c, const T* bias);

}  // namespace kdef::ops::reference
