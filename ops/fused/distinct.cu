#include "core/cuda/launch.cuh"
#include "ops/fused/distinct.h"
#include "ops/reduce.h"

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
  const int32_t* index;  // of one field, per row
  T* y;
  int64_t n;
  KDEF_DEVICE void operator()(int64_t i) const { y[i] += table[index[i / n] * n + i % n]; }
};

// sums[u, j] = the sum of dy[b, j] over the rows b of id u of one field, in their order: a thread per column.
template <class T>
struct SumById {
  const T* dy;
  const int32_t* index;
  T* sums;
  int64_t batch, n;
  KDEF_DEVICE void operator()(int64_t j) const {
    for (int64_t b = 0; b < batch; ++b) sums[index[b] * n + j] += dy[b * n + j];
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

void distinct_forward(const Tensor& rows, const DistinctIds& distinct, const Tensor& weight, const Tensor& bias,
                      const Tensor& y) {
  for_float(y.dtype(), "distinct_linear", [&]<class T>() {
    const int64_t batch = y.shape()[0], n = y.shape()[1], d = rows.shape()[1], width = weight.shape()[1];
    if (bias.defined()) spread(bias, y, 1, batch, n, 1.0);
    const Tensor table = Tensor::empty({rows.shape()[0], n}, y.dtype(), y.device());
    for (size_t f = 0; f < distinct.fields.size(); ++f) {
      const int64_t first = distinct.first[f], count = distinct.first[f + 1] - first;
      const T* w = weight.data<T>() + static_cast<int64_t>(distinct.fields[f]) * d;
      T* products = table.data<T>() + first * n;
      for_each(count * n, Products<T>{rows.data<T>() + first * d, w, products, n, d, width});
      for_each(batch * n, AddProducts<T>{products, distinct.index.data<int32_t>() + static_cast<int64_t>(f) * batch,
                                         y.data<T>(), n});
    }
  });
}

void distinct_backward(const Tensor& rows, const DistinctIds& distinct, const Tensor& weight, const Tensor& dy,
                       const Tensor& drows, const Tensor& dweight, const Tensor& dbias) {
  for_float(dy.dtype(), "distinct_linear", [&]<class T>() {
    const int64_t batch = dy.shape()[0], n = dy.shape()[1], d = rows.shape()[1], width = weight.shape()[1];
    if (dbias.defined()) reduce_sum(dy, dbias, 1, batch, n, 1.0);
    const Tensor sums = Tensor::zeros({rows.shape()[0], n}, dy.dtype(), dy.device());
    for (size_t f = 0; f < distinct.fields.size(); ++f) {
      const int64_t first = distinct.first[f], count = distinct.first[f + 1] - first;
      const int64_t column = static_cast<int64_t>(distinct.fields[f]) * d;
      const T* r = rows.data<T>() + first * d;
      T* s = sums.data<T>() + first * n;
      for_each(n,
               SumById<T>{dy.data<T>(), distinct.index.data<int32_t>() + static_cast<int64_t>(f) * batch, s, batch, n});
      if (dweight.defined()) for_each(n * d, WeightGradient<T>{r, s, dweight.data<T>() + column, count, n, d, width});
      if (drows.defined()) {
        for_each(count * d, RowsGradient<T>{s, weight.data<T>() + column, drows.data<T>() + first * d, n, d, width});
      }
    }
  });
}

}  // namespace kdef::ops::cuda
