// What the kernels of packed products are given, and the table of them for each instruction set. The kernels' source is
// lane_kernels.h; packed.h is the interface.
#pragma once

#include <stdint.h>

#include "core/base/isa_levels.h"
#include "ops/serve/stored.h"

namespace kdef::ops::serve {

/// y [rows, out] = act(s + x W^T): s is the bias on every row, or what y holds where `add` is set.
struct Product {
  int64_t rows = 0, in = 0, out = 0;
  const float* x = nullptr;
  int64_t ldx = 0;
  Stored stored = Stored::f32;
  const void* weight = nullptr;   // as packed: float, uint16_t (a bfloat16) or int8_t
  const float* scales = nullptr;  // of int8: [out], filled up like the bias
  const float* bias = nullptr;    // [out], filled up with zeros to whole vectors
  float* y = nullptr;
  int64_t ldy = 0;
  bool add = false, relu = false;
  bool skips_zeros = false;  // the weights are finite: a zero of x may be left out
};

/// y [rows, out] = bias + the sum over t of row ids[b, columns[t]] of table t.
struct RowSums {
  int64_t rows = 0, out = 0, count = 0;  // count: tables
  Stored stored = Stored::f32;
  const void* const* tables = nullptr;   // each [vocabulary, stride], of numbers as above
  const float* const* scales = nullptr;  // of int8: of each table [vocabulary]
  int64_t stride = 0;
  const int32_t* ids = nullptr;
  int64_t ldids = 0;
  const int64_t* columns = nullptr;
  const float* bias = nullptr;
  float* y = nullptr;
  int64_t ldy = 0;
  bool relu = false;
};

/// The kernels for one instruction set; `rows` is at least 1. A row's numbers depend on its own input alone, never on
/// `rows`.
struct Kernels {
  Isa isa;
  /// Weights are packed in vectors of `lanes` outputs, and at most `vectors` of these make a panel. Panel after panel
  /// has, input after input, the weights of its outputs.
  int64_t lanes, vectors;
  void (*product)(const Product& p);
  /// The same for few outputs: the weights are float [out, in], not packed.
  void (*dots)(const Product& p);
  void (*row_sums)(const RowSums& s);
  /// Products of bf16 weights round their inputs to bf16, too, and add two products at a time: the weights of two
  /// inputs stand side by side, output after output. An odd last input stands beside zeros.
  bool bf16_pairs = false;
};

/// The kernels of a usable instruction set.
const Kernels& kernels(Isa isa);

}  // namespace kdef::ops::serve
