#include "core/cuda/launch.cuh"
#include "core/tensor/tape_kernels.h"

namespace kdef::cuda {
namespace {

template <class T>
struct Accumulate {
  T* a;
  const T* b;
  KDEF_DEVICE void operator()(int64_t i) const { a[i] += b[i]; }
};

template <class T>
struct AccumulateRows {
  T* table;
  const int64_t* ids;
  const T* values;
  int64_t d;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t id = ids[i / d];
    if (id != kNoRow) table[id * d + i % d] += values[i];
  }
};

template <class T>
struct Fill {
  T* t;
  T value;
  KDEF_DEVICE void operator()(int64_t i) const { t[i] = value; }
};

}  // namespace

void accumulate(const Tensor& a, const Tensor& b) {
  for_float(a.dtype(), "gradient accumulation", [&]<class T>() {
    for_each(a.numel(), Accumulate<T>{a.data<T>(), b.data<T>()});
  });
}

void accumulate_rows(const Tensor& table, const RowGradient& rows) {
  for_float(table.dtype(), "row gradient", [&]<class T>() {
    for_each(rows.values.numel(),
             AccumulateRows<T>{table.data<T>(), rows.ids.data<int64_t>(), rows.values.data<T>(), table.shape().back()});
  });
}

void fill(const Tensor& t, double value) {
  const auto assign = [&]<class T>() { for_each(t.numel(), Fill<T>{t.data<T>(), static_cast<T>(value)}); };
  if (is_floating(t.dtype()))
    for_float(t.dtype(), "fill", assign);
  else
    for_index(t.dtype(), "fill", assign);
}

}  // namespace kdef::cuda
