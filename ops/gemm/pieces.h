// Products within kernels of the CPU that cut their work into pieces of rows themselves and make an operand of each
// piece in cache (hidden_linear, distinct_linear). Each call runs on the calling thread alone.
#pragma once

#include "ops/gemm/route.h"

namespace kdef::ops::cpu {

/// One product (batch 1). Operands are of type U: T, or BFloat16 where T is float and route() says bf16.
template <class T, class U>
void gemm_piece(const Gemm& g, const U* a, const U* b, T* c, const T* bias = nullptr);

/// Tells a GemmRecorder of a product that is computed in pieces.
void note_product(const Gemm& whole);

/// An operand B that all pieces of a product read: arranged once in the order that the backend prefers, and rounded
/// where U is BFloat16.
template <class T, class U>
class SharedOperand {
 public:
  /// `piece` is the product of a piece with the usual number of rows; A is not transposed. b must outlive this object.
  SharedOperand(const Gemm& piece, const T* b);
  /// C = A op(B) + bias for `rows` rows.
  void multiply(int64_t rows, const U* a, T* c, const T* bias = nullptr) const;

 private:
  Gemm piece_;
  Tensor arranged_;       // in the backend's order; undefined without oneDNN
  const U* b_ = nullptr;  // as given, where arranged_ is undefined
};

}  // namespace kdef::ops::cpu
