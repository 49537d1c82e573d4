// What a scorer runs: steps, each of which computes one value of some rows. Here are the steps of primitive ops, one
// simple loop each; program.cpp makes those of packed products.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "kdef/serve/graph.h"

namespace kdef::serve {

/// Some rows that are computed together.
struct Rows {
  int64_t count = 0;
  const int32_t* ids = nullptr;  // [count, C]
  const float* numbers = nullptr;
  float* memory = nullptr;  // for results
};

/// Where the numbers of a value are. Those of one row stand one after the other, rows are `stride` apart.
struct Place {
  enum class Kind { ids, numbers, constant, memory };
  Kind kind = Kind::memory;
  int64_t first = 0;   // of row 0: a column of the input, or a place in the memory
  int64_t stride = 0;  // 0: the same numbers for every row
  Tensor constant = {};

  const float* read(const Rows& rows, int64_t row) const {
    const float* base = kind == Kind::constant  ? reinterpret_cast<const float*>(constant.raw())
                        : kind == Kind::numbers ? rows.numbers
                                                : rows.memory;
    return base + first + row * stride;
  }
  float* write(const Rows& rows, int64_t row) const { return rows.memory + first + row * stride; }
  const int32_t* read_ids(const Rows& rows, int64_t row) const { return rows.ids + first + row * stride; }
};

/// An input or the output of a step: its place, and its shape for one row. The leading axis of the shape, if it is that
/// of the batch, has the elements of one row.
struct Operand {
  Place place;
  Shape shape;
  bool batched = true;
  DType type = DType::f32;
  int64_t width() const { return shape.numel(); }
};

using Step = std::function<void(const Rows&)>;

/// The step of a call of a primitive op. Throws Error, which says why, where there is none for this op or for operands
/// of these shapes and types: all are fp32, but for ids that are looked up. A reshape is no step: it is another Operand
/// of the same place.
Step make_step(const Graph::Call& call, const std::vector<Operand>& inputs, const Operand& output);

}  // namespace kdef::serve
