// The maths of reductions that both devices share.
#pragma once

#include <cstdint>

#include "core/base/hd.h"

namespace kdef::ops {

/// A column of x [n] and of y and index [k], whose elements are `step` apart: the k largest of x in their order, of
/// equal ones the first. A new element takes the place of the smallest of those so far, of equal ones the last.
template <class T>
struct KMaxColumn {
  const T* x;
  T* y;
  int64_t* index;
  int64_t n, k, step;

  KDEF_HD void forward() const {
    for (int64_t s = 0; s < k; ++s) index[s * step] = s;
    int64_t least = smallest();
    for (int64_t i = k; i < n; ++i) {
      if (!(x[i * step] > x[index[least * step] * step])) continue;
      for (int64_t s = least; s + 1 < k; ++s) index[s * step] = index[(s + 1) * step];
      index[(k - 1) * step] = i;
      least = smallest();
    }
    for (int64_t s = 0; s < k; ++s) y[s * step] = x[index[s * step] * step];
  }

 private:
  KDEF_HD int64_t smallest() const {
    int64_t least = 0;
    for (int64_t s = 1; s < k; ++s) {
      if (!(x[index[s * step] * step] > x[index[least * step] * step])) least = s;
    }
    return least;
  }
};

/// dx [n] of such a column, from dy [k].
template <class T>
KDEF_HD void k_max_column_backward(const T* dy, const int64_t* index, T* dx, int64_t n, int64_t k, int64_t step) {
  for (int64_t i = 0; i < n; ++i) dx[i * step] = T(0);
  for (int64_t s = 0; s < k; ++s) dx[index[s * step] * step] = dy[s * step];
}

}  // namespace kdef::ops
