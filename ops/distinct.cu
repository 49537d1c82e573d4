#include "core/cuda/launch.cuh"
#include "ops/distinct.h"

// Plain kernels: on a GPU the product over all columns is faster, and training does not come here.
namespace kdef::ops::cuda {
namespace {

using kdef::cuda::for_each;

// table[u, j] = sum_k rows[u, k] W_f[j, k] for the `count` rows of one field; w points at its columns.
template <class T>
struct Products {
  const T *rows, *w;
  T* table;
  int64_t n, d, width;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t u = i / n, j = i % n;
    T sum = 0;
    for (int64_t k = 0; k < d; ++k) sum += rows[u * d + k] * w[j * width + k];
    table[i] = sum;
  }
};

template <class T>
struct AddProducts {
  const T* table;
  const int32_t* index;
  T* y;
  int64_t n, chosen;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t b = i / n, j = i % n;
    T sum = y[i];
    for (int64_t f = 0; f < chosen; ++f) sum += table[index[b * chosen + f] * n + j];
    y[i] = sum;
  }
};

// sums[u, j] = the sum of dy[b, j] over the rows b of id u, in their order: a thread per field and column.
template <class T>
struct SumById {
  const T* dy;
  const int32_t* index;
  T* sums;
  int64_t batch, n, chosen;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t f = i / n, j = i % n;
    for (int64_t b = 0; b < batch; ++b) sums[index[b * chosen + f] * n + j] += dy[b * n + j];
  }
};

template <class T>
struct WeightGradient {
  const T *rows, *sums;
  T* dw;
  int64_t count, n, d, width;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t j = i / d, k = i % d;
    T sum = 0;
    for (int64_t u = 0; u < count; ++u) sum += rows[u * d + k] * sums[u * n + j];
    dw[j * width + k] = sum;
  }
};

template <class T>
struct RowsGradient {
  const T *sums, *w;
  T* drows;
  int64_t n, d, width;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t u = i / d, k = i % d;
    T sum = 0;
    for (int64_t j = 0; j < n; ++j) sum += sums[u * n + j] * w[j * width + k];
    drows[i] = sum;
  }
};

}  // namespace

void distinct_forward(const Tensor& rows, const DistinctIds& distinct, const Tensor& weight, const Tensor& y) {
  for_float(y.dtype(), "distinct_linear", [&]<class T>() {
    const int64_t n = y.shape()[1], d = rows.shape()[1], width = weight.shape()[1];
    const Tensor table = Tensor::empty({rows.shape()[0], n}, y.dtype(), y.device());
    for (size_t f = 0; f < distinct.fields.size(); ++f) {
      const int64_t first = distinct.first[f], count = distinct.first[f + 1] - first;
      const T* w = weight.data<T>() + static_cast<int64_t>(distinct.fields[f]) * d;
      for_each(count * n, Products<T>{rows.data<T>() + first * d, w, table.data<T>() + first * n, n, d, width});
    }
    for_each(y.numel(), AddProducts<T>{table.data<T>(), distinct.index.data<int32_t>(), y.data<T>(), n,
                                       static_cast<int64_t>(distinct.fields.size())});
  });
}

void distinct_backward(const Tensor& rows, const DistinctIds& distinct, const Tensor& weight, const Tensor& dy,
                       const Tensor& drows, const Tensor& dweight) {
  for_float(dy.dtype(), "distinct_linear", [&]<class T>() {
    const int64_t n = dy.shape()[1], d = rows.shape()[1], width = weight.shape()[1];
    const int64_t chosen = static_cast<int64_t>(distinct.fields.size());
    const Tensor sums = Tensor::zeros({rows.shape()[0], n}, dy.dtype(), dy.device());
    for_each(chosen * n,
             SumById<T>{dy.data<T>(), distinct.index.data<int32_t>(), sums.data<T>(), dy.shape()[0], n, chosen});
    for (size_t f = 0; f < distinct.fields.size(); ++f) {
      const int64_t first = distinct.first[f], count = distinct.first[f + 1] - first;
      const int64_t column = static_cast<int64_t>(distinct.fields[f]) * d;
      const T *r = rows.data<T>() + first * d, *s = sums.data<T>() + first * n;
      if (dweight.defined()) for_each(n * d, WeightGradient<T>{r, s, dweight.data<T>() + column, count, n, d, width});
      if (drows.defined()) {
        for_each(count * d, RowsGradient<T>{s, weight.data<T>() + column, drows.data<T>() + first * d, n, d, width});
      }
    }
  });
}

}  // namespace kdef::ops::cuda
