// Long sums on the device, by parts of rows (row_parts.h).
#pragma once

#include <cstdint>

#include "core/base/hd.h"
#include "core/base/integers.h"
#include "ops/device/row_parts.h"

namespace kdef::ops::cuda {

/// The number of parts of n rows: at least one, which may be empty.
inline int64_t parts_of(int64_t n) { return n > kRowPart ? divide_up(n, kRowPart) : 1; }

/// The rows of a part.
struct Part {
  int64_t begin, end;
  KDEF_DEVICE Part(int64_t part, int64_t rows)
      : begin(part * kRowPart), end(begin + kRowPart < rows ? begin + kRowPart : rows) {}
};

/// y [outer, inner] = factor times the sum of partial [outer, parts, inner] over the parts. One thread computes one
/// result.
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
