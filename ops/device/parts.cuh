// Long sums on the device: rows are summed in parts, and the parts are added in a fixed order.
#pragma once

#include <cstdint>

#include "core/base/hd.h"

namespace kdef::ops::cuda {

/// Rows of one part: few enough that fp32 keeps its digits, and that no thread works long on its own.
inline constexpr int64_t kPart = 64;
/// Of n rows; at least one, which may be empty.
inline int64_t parts_of(int64_t n) { return n > kPart ? (n + kPart - 1) / kPart : 1; }

/// The rows of a part.
struct Part {
  int64_t begin, end;
  KDEF_DEVICE Part(int64_t part, int64_t rows)
      : begin(part * kPart), end(begin + kPart < rows ? begin + kPart : rows) {}
};

/// y [outer, inner] = factor times the sum of partial [outer, parts, inner] over its parts: a thread per result.
template <class T>
struct AddParts {
  const double* partial;
  T* y;
  int64_t inner, parts;
  double factor;
  KDEF_DEVICE void operator()(int64_t i) const {
    const double* from = partial + i / inner * parts * inner + i % inner;
    double total = 0;
    for (int64_t part = 0; part < parts; ++part) total += from[part * inner];
    y[i] = static_cast<T>(total * factor);
  }
};

}  // namespace kdef::ops::cuda
