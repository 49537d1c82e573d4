#include "core/cuda/launch.cuh"
#include "ops/device/tiles.cuh"
#include "ops/reduce.h"
#include "ops/reduce_functors.h"

namespace kdef::ops::cuda {
namespace {

using kdef::cuda::Block;
using kdef::cuda::for_blocks;
using kdef::cuda::for_each;

// Sums over n of x [outer, n, inner]. One thread adds up one part of one column; neighbouring threads have neighbouring
// columns.
template <class T>
struct SumParts {
  const T* x;
  double* partial;  // [outer, parts, inner]
  int64_t n, inner, parts;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t j = i % inner, q = i / inner, o = q / parts;
    const Part part(q % parts, n);
    double total = 0;
    for (int64_t k = part.begin; k < part.end; ++k) total += static_cast<double>(x[(o * n + k) * inner + j]);
    partial[i] = total;
  }
};

// The sums over the columns of one matrix of type U, which may be bf16.
template <class T, class U>
struct ColumnTerms {
  const U* x;
  T* y;
  double factor;
  int64_t c;
  template <int V>
  struct Columns {
    const U* x;
    int64_t c;
    KDEF_DEVICE void add(int64_t r, T (&sums)[1][V]) const {
      const Pack<U, V> row = load<V>(x + r * c);
      for (int k = 0; k < V; ++k) sums[0][k] += number(row[k]);
    }
  };
  template <int V>
  KDEF_DEVICE Columns<V> at(int64_t j) const {
    return {x + j, c};
  }
  KDEF_DEVICE void finish(const double (&sums)[1], int64_t j) const { y[j] = static_cast<T>(sums[0] * factor); }
};

template <class T, class U>
void sum_columns(const Tensor& x, const Tensor& y, int64_t n, int64_t c, double factor) {
  with_vectors(c, {x.raw()}, [&]<int V>() {
    sum_tiles<T, V, 1>(n, c, x.device(), ColumnTerms<T, U>{x.data<U>(), y.data<T>(), factor, c});
  });
}

// Sums over rows of n consecutive elements. One block adds up one row.
template <class T>
struct SumRow {
  const T* x;
  T* y;
  int64_t n;
  double factor;
  KDEF_DEVICE void operator()(const Block& block) const {
    const T* row = x + block.index() * n;
    double total = 0;
    for (int64_t i = block.thread(); i < n; i += block.threads()) total += static_cast<double>(row[i]);
    total = block.sum(total);
    if (block.thread() == 0) y[block.index()] = static_cast<T>(total * factor);
  }
};

template <class T>
struct Max {
  const T* x;
  T* y;
  int64_t* index;
  int64_t n, inner;
  KDEF_DEVICE void operator()(int64_t q) const {
    const T* column = x + q / inner * n * inner + q % inner;
    int64_t best = 0;
    for (int64_t i = 1; i < n; ++i) {
      if (column[i * inner] > column[best * inner]) best = i;
    }
    index[q] = best;
    y[q] = column[best * inner];
  }
};

template <class T>
struct KMax {
  const T* x;
  T* y;
  int64_t* index;
  int64_t n, inner, k;
  KDEF_DEVICE void operator()(int64_t q) const {
    const int64_t o = q / inner, j = q % inner, kept = o * k * inner + j;
    KMaxColumn<T>{x + o * n * inner + j, y + kept, index + kept, n, k, inner}.forward();
  }
};

template <class T>
struct KMaxBackward {
  const T* dy;
  const int64_t* index;
  T* dx;
  int64_t n, inner, k;
  KDEF_DEVICE void operator()(int64_t q) const {
    const int64_t o = q / inner, j = q % inner, kept = o * k * inner + j;
    k_max_column_backward(dy + kept, index + kept, dx + o * n * inner + j, n, k, inner);
  }
};

template <class T>
struct Spread {
  const T* dy;
  T* dx;
  int64_t n, inner;
  T factor;
  KDEF_DEVICE void operator()(int64_t i) const { dx[i] = factor * dy[i / (n * inner) * inner + i % inner]; }
};

template <class T>
struct ScatterMax {
  const T* dy;
  const int64_t* index;
  T* dx;
  int64_t n, inner;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t q = i / (n * inner) * inner + i % inner;
    dx[i] = i / inner % n == index[q] ? dy[q] : T(0);
  }
};

}  // namespace

void reduce_sum(const Tensor& x, const Tensor& y, int64_t outer, int64_t n, int64_t inner, double factor) {
  if (x.dtype() == DType::bf16) {
    KDEF_CHECK(outer == 1 && y.dtype() == DType::f32, "sum: of bf16 only columns, in f32");
    return sum_columns<float, BFloat16>(x, y, n, inner, factor);
  }
  for_float(x.dtype(), "sum", [&]<class T>() {
    if (outer == 1 && inner > 1) return sum_columns<T, T>(x, y, n, inner, factor);
    // One thread adds up a short row, or a column of one of several matrices. One block adds up a long row.
    if (inner == 1 && n > kRowPart) return for_blocks(outer, 0, SumRow<T>{x.data<T>(), y.data<T>(), n, factor});
    const int64_t parts = parts_of(n);
    const Tensor partial = Tensor::empty({outer, parts, inner}, DType::f64, x.device());
    for_each(outer * parts * inner, SumParts<T>{x.data<T>(), partial.data<double>(), n, inner, parts});
    for_each(outer * inner, AddParts<T>{partial.data<double>(), y.data<T>(), inner, parts, factor});
  });
}

void reduce_max(const Tensor& x, const Tensor& y, const Tensor& index, int64_t outer, int64_t n, int64_t inner) {
  for_float(x.dtype(), "max", [&]<class T>() {
    for_each(outer * inner, Max<T>{x.data<T>(), y.data<T>(), index.data<int64_t>(), n, inner});
  });
}

void k_max_forward(const Tensor& x, const Tensor& y, const Tensor& index, int64_t outer, int64_t n, int64_t inner,
                   int64_t k) {
  for_float(x.dtype(), "k_max", [&]<class T>() {
    for_each(outer * inner, KMax<T>{x.data<T>(), y.data<T>(), index.data<int64_t>(), n, inner, k});
  });
}

void k_max_backward(const Tensor& dy, const Tensor& index, const Tensor& dx, int64_t outer, int64_t n, int64_t inner,
                    int64_t k) {
  for_float(dy.dtype(), "k_max", [&]<class T>() {
    for_each(outer * inner, KMaxBackward<T>{dy.data<T>(), index.data<int64_t>(), dx.data<T>(), n, inner, k});
  });
}

void spread(const Tensor& dy, const Tensor& dx, int64_t outer, int64_t n, int64_t inner, double factor) {
  for_float(dy.dtype(), "sum", [&]<class T>() {
    for_each(outer * n * inner, Spread<T>{dy.data<T>(), dx.data<T>(), n, inner, static_cast<T>(factor)});
  });
}

void scatter_max(const Tensor& dy, const Tensor& index, const Tensor& dx, int64_t outer, int64_t n, int64_t inner) {
  for_float(dy.dtype(), "max", [&]<class T>() {
    for_each(outer * n * inner, ScatterMax<T>{dy.data<T>(), index.data<int64_t>(), dx.data<T>(), n, inner});
  });
}

}  // namespace kdef::ops::cuda
