// The CPU's loops for elementwise functors.
#pragma once

#include "core/base/parallel.h"
#include "ops/device/broadcast.h"

namespace kdef::ops::cpu {

/// y[i] = fn(i) over [0, n), in pieces over the threads.
template <class Fn>
void for_each(int64_t n, Fn fn) {
  parallel_for(n, kPiece, [=](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) fn(i);
  });
}

/// Calls fn(index in y, offset in a, offset in b) for every element of y, row by row over the threads.
template <class Fn>
void for_each_broadcast(const Shape& y, const Shape& a, const Shape& b, Fn fn) {
  if (a == y && b == y) {
    for_each(y.numel(), [=](int64_t i) { fn(i, i, i); });
    return;
  }
  const auto sa = broadcast_strides(a, y), sb = broadcast_strides(b, y);
  const int last = y.rank() - 1;
  const int64_t n = y.rank() ? y[last] : 1;
  if (y.numel() == 0) return;
  const int64_t da = y.rank() ? sa[static_cast<size_t>(last)] : 0, db = y.rank() ? sb[static_cast<size_t>(last)] : 0;
  const int64_t rows = y.numel() / n;
  parallel_for(rows, std::max<int64_t>(1, kPiece / n), [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; ++r) {
      int64_t rest = r, oa = 0, ob = 0;
      for (int axis = last - 1; axis >= 0; --axis) {
        const int64_t i = rest % y[axis];
        rest /= y[axis];
        oa += i * sa[static_cast<size_t>(axis)];
        ob += i * sb[static_cast<size_t>(axis)];
      }
      for (int64_t j = 0; j < n; ++j) fn(r * n + j, oa + j * da, ob + j * db);
    }
  });
}

}  // namespace kdef::ops::cpu
