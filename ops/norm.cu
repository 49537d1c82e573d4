#include <span>
#include <type_traits>
#include <vector>

#include "core/cuda/launch.cuh"
#include "ops/device/tiles.cuh"
#include "ops/masks.cuh"
#include "ops/norm.h"
#include "ops/norm_functors.h"
#include "ops/rowwise_functors.h"

namespace kdef::ops::cuda {
namespace {

using kdef::cuda::Block;
using kdef::cuda::for_blocks;
using kdef::cuda::for_each;
using kdef::cuda::for_warps;
using kdef::cuda::Warp;

// Parts are summed in the tensor's type, and combined in fp64.

// -- moments

// Per tile and column: the part's mean, and its sum of squared deviations from that mean.
template <class T, int V>
struct PartMoments {
  const T* x;
  T* partial;  // [parts, 2, c]
  Tiles tiles;
  KDEF_DEVICE void operator()(const Block& block) const {
    const TileThread<V> at(block, tiles);
    T* shared = block.template shared<T>();
    T sums[1][V] = {};
    if (at.active) {
      for (int64_t r = at.first + at.lane; r < at.last; r += at.lanes) {
        const Pack<T, V> v = load<V>(x + r * tiles.c + at.column);
        for (int k = 0; k < V; ++k) sums[0][k] += v[k];
      }
    }
    const T* totals = add_lanes<1, V>(block, at, tiles.width, sums, shared) + at.group * V;
    T mean[V];
    for (int k = 0; k < V; ++k) {
      mean[k] = totals[k] / static_cast<T>(at.last - at.first);
      sums[0][k] = 0;
    }
    if (at.active) {
      for (int64_t r = at.first + at.lane; r < at.last; r += at.lanes) {
        const Pack<T, V> v = load<V>(x + r * tiles.c + at.column);
        for (int k = 0; k < V; ++k) sums[0][k] += (v[k] - mean[k]) * (v[k] - mean[k]);
      }
    }
    totals = add_lanes<1, V>(block, at, tiles.width, sums, shared) + at.group * V;
    if (!at.active || at.lane != 0) return;
    T* to = partial + at.part * 2 * tiles.c + at.column;
    for (int k = 0; k < V; ++k) {
      to[k] = mean[k];
      to[tiles.c + k] = totals[k];
    }
  }
};

// Chan, Golub, LeVeque (1979) for all parts at once: with mean the mean of all rows,
// M2 = sum over parts of M2_p + n_p (mean_p - mean)^2.
template <class T>
struct AllMoments {
  const T* partial;
  // [2, c]: mean and M2 of these rows, for moments_of_group(). Null: these rows are the whole batch.
  double* mine;
  T *mean, *var, *rstd;
  int64_t rows, c, parts;
  double eps;
  KDEF_DEVICE void operator()(const Block& block) const {
    const PartLanes at(block);
    const int64_t j = at.column;
    const bool inside = j < c;
    const double n = static_cast<double>(rows);
    const double mu = at.sum(parts, inside, [&](int64_t p) { return size(p) * part_mean(p, j); }) / n;
    const double squares = at.sum(parts, inside, [&](int64_t p) {
      const double d = part_mean(p, j) - mu;
      return static_cast<double>(partial[(2 * p + 1) * c + j]) + size(p) * d * d;
    });
    if (!inside || at.lane != 0) return;
    if (mine != nullptr) {
      mine[j] = mu;
      mine[c + j] = squares;
      return;
    }
    mean[j] = static_cast<T>(mu);
    var[j] = static_cast<T>(squares / n);
    rstd[j] = static_cast<T>(1.0 / std::sqrt(squares / n + eps));
  }
  KDEF_DEVICE double size(int64_t p) const {
    const Part part(p, rows);
    return static_cast<double>(part.end - part.begin);
  }
  KDEF_DEVICE double part_mean(int64_t p, int64_t j) const { return static_cast<double>(partial[2 * p * c + j]); }
};

// From the mean and M2 of a batch of n rows, [2, c].
template <class T>
struct FinishMoments {
  const double* all;
  T *mean, *var, *rstd;
  double n;
  int64_t c;
  double eps;
  KDEF_DEVICE void operator()(int64_t j) const {
    mean[j] = static_cast<T>(all[j]);
    var[j] = static_cast<T>(all[c + j] / n);
    rstd[j] = static_cast<T>(1.0 / std::sqrt(all[c + j] / n + eps));
  }
};

template <class T>
struct MoveRunning {
  const T *observed, *shift;
  int64_t columns;  // of each
  T momentum, factor;
  T* running[kMaxStacked];
  KDEF_DEVICE void operator()(int64_t j) const {
    T& r = running[j / columns][j % columns];
    r = ColumnNorm::moved(r, observed[j], shift != nullptr ? shift[j] : T(0), momentum, factor);
  }
};

template <class T>
struct ReciprocalSqrt {
  const T* var;
  T* rstd;
  double eps;
  KDEF_DEVICE void operator()(int64_t j) const {
    rstd[j] = static_cast<T>(1.0 / std::sqrt(static_cast<double>(var[j]) + eps));
  }
};

// -- sums over rows of two terms per element: dgamma and dbeta

template <class T>
struct ColumnTerms {
  const T *dy, *x, *mean, *rstd;
  T *dgamma, *dbeta;
  int64_t c;
  template <int V>
  struct Columns {
    const ColumnTerms& of;
    int64_t column;
    Pack<T, V> mean, rstd;
    KDEF_DEVICE void add(int64_t r, T (&sums)[2][V]) const {
      const Pack<T, V> dys = load<V>(of.dy + r * of.c + column), xs = load<V>(of.x + r * of.c + column);
      for (int k = 0; k < V; ++k) {
        sums[0][k] += dys[k] * ColumnNorm::h(xs[k], mean[k], rstd[k]);
        sums[1][k] += dys[k];
      }
    }
  };
  template <int V>
  KDEF_DEVICE Columns<V> at(int64_t j) const {
    return {*this, j, load<V>(mean + j), load<V>(rstd + j)};
  }
  KDEF_DEVICE void finish(const double (&sums)[2], int64_t j) const {
    dgamma[j] = static_cast<T>(sums[0]);
    dbeta[j] = static_cast<T>(sums[1]);
  }
};

// Terms of HiddenLayerSums. U is the type of y.
template <class T, class U>
struct HiddenLayerTerms {
  const T* dy;
  const U* y;
  const T *x, *mean, *rstd;
  T *dgamma, *dbeta;
  double factor;
  int64_t c;
  template <int V>
  struct Columns {
    const HiddenLayerTerms& of;
    int64_t column;
    Pack<T, V> mean;
    KDEF_DEVICE void add(int64_t r, T (&sums)[2][V]) const {
      const int64_t i = r * of.c + column;
      const Pack<T, V> dys = load<V>(of.dy + i), xs = load<V>(of.x + i);
      const Pack<U, V> ys = load<V>(of.y + i);
      for (int k = 0; k < V; ++k) {
        const T d = HiddenLayerDx<T>::d(dys[k], number(ys[k]));
        HiddenLayerSums::add(d, xs[k], mean[k], sums[0][k], sums[1][k]);
      }
    }
  };
  template <int V>
  KDEF_DEVICE Columns<V> at(int64_t j) const {
    return {*this, j, load<V>(mean + j)};
  }
  KDEF_DEVICE void finish(const double (&sums)[2], int64_t j) const {
    const auto of = HiddenLayerSums::finish(sums[0], sums[1], static_cast<double>(rstd[j]), factor);
    dgamma[j] = static_cast<T>(of.dgamma);
    dbeta[j] = static_cast<T>(of.dbeta);
  }
};

template <class T>
struct RowTerms {
  const T *dy, *x, *mean, *rstd;
  T *dgamma, *dbeta;
  int64_t c;
  template <int V>
  struct Columns {
    const RowTerms& of;
    int64_t column;
    KDEF_DEVICE void add(int64_t r, T (&sums)[2][V]) const {
      const Pack<T, V> dys = load<V>(of.dy + r * of.c + column), xs = load<V>(of.x + r * of.c + column);
      for (int k = 0; k < V; ++k) {
        sums[0][k] += dys[k] * ColumnNorm::h(xs[k], of.mean[r], of.rstd[r]);
        sums[1][k] += dys[k];
      }
    }
  };
  template <int V>
  KDEF_DEVICE Columns<V> at(int64_t j) const {
    return {*this, j};
  }
  KDEF_DEVICE void finish(const double (&sums)[2], int64_t j) const {
    dgamma[j] = static_cast<T>(sums[0]);
    dbeta[j] = static_cast<T>(sums[1]);
  }
};

// -- element by element

template <class T>
struct Normalise {
  const T *x, *mean, *rstd, *gamma, *beta;
  T* y;
  int64_t c;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t j = i % c;
    y[i] = ColumnNorm::f(x[i], mean[j], rstd[j], gamma[j], beta[j]);
  }
};

template <class T>
struct NormDx {
  const T *dy, *x, *mean, *rstd, *gamma, *dgamma, *dbeta;
  T* dx;
  int64_t c;
  T share;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t j = i % c;
    dx[i] = ColumnNorm::dx(dy[i], x[i], mean[j], rstd[j], gamma[j], dgamma[j], dbeta[j], share);
  }
};

// The hidden layer. U: of y and dx.

template <class T, class U>
struct NormReluDropout {
  const T *x, *mean, *rstd, *gamma, *beta;
  U* y;
  int64_t c;
  BlockMasks masks;
  template <int V>
  struct Columns {
    const NormReluDropout& of;
    int64_t column;
    BlockMasks::Columns<V> mask;
    Pack<T, V> mean, rstd, gamma, beta;
    KDEF_DEVICE void row(int64_t r) const {
      const int64_t i = r * of.c + column;
      const Pack<T, V> xs = load<V>(of.x + i);
      const auto dropped = mask.dropped(r);
      const T factor = static_cast<T>(of.masks.factor);
      Pack<T, V> ys;
      for (int k = 0; k < V; ++k) {
        const T v = ColumnNorm::f(xs[k], mean[k], rstd[k], gamma[k], beta[k]);
        const T kept = dropped[k] ? T(0) : v * factor;
        ys[k] = kept < T(0) ? T(0) : kept;
      }
      store<V>(ys, of.y + i);
    }
  };
  template <int V>
  KDEF_DEVICE Columns<V> at(int64_t j) const {
    return {*this, j, masks.at<V>(j), load<V>(mean + j), load<V>(rstd + j), load<V>(gamma + j), load<V>(beta + j)};
  }
};

template <class T, class U>
struct NormReluDropoutDx {
  const T* dy;
  const U* y;
  const T *x, *mean, *rstd, *gamma, *dgamma, *dbeta;
  U* dx;
  int64_t c;
  double share, factor;
  template <int V>
  struct Columns {
    const NormReluDropoutDx& of;
    int64_t column;
    Pack<T, V> mean, a, b, e;
    KDEF_DEVICE Pack<T, V> row(int64_t r) const {
      const int64_t i = r * of.c + column;
      const Pack<T, V> dys = load<V>(of.dy + i), xs = load<V>(of.x + i);
      const Pack<U, V> ys = load<V>(of.y + i);
      Pack<T, V> dxs;
      for (int k = 0; k < V; ++k) {
        const T d = HiddenLayerDx<T>::d(dys[k], number(ys[k]));
        dxs[k] = HiddenLayerDx<T>::dx(a[k], b[k], e[k], d, xs[k], mean[k]);
      }
      store<V>(dxs, of.dx + i);
      return dxs;
    }
  };
  template <int V>
  KDEF_DEVICE Columns<V> at(int64_t j) const {
    Columns<V> it{*this, j, load<V>(mean + j), {}, {}, {}};
    for (int k = 0; k < V; ++k) {
      const HiddenLayerDx<T> of(rstd[j + k], gamma[j + k], dgamma[j + k], dbeta[j + k], share, factor);
      it.a[k] = of.a;
      it.b[k] = of.b;
      it.e[k] = of.e;
    }
    return it;
  }
};

// Calls fn with the types of x and of y.
template <class Fn>
void for_types(const Tensor& x, const Tensor& y, Fn&& fn) {
  for_float(x.dtype(), "batch_norm_relu_dropout", [&]<class T>() {
    if constexpr (std::is_same_v<T, float>) {
      if (y.dtype() == DType::bf16) return fn.template operator()<float, BFloat16>();
    }
    fn.template operator()<T, T>();
  });
}

// -- layer normalisation: a warp per row

template <class T>
struct LayerNormForward {
  const T *x, *gamma, *beta;
  T *y, *mean, *rstd;
  int64_t c;
  T eps;
  KDEF_DEVICE void operator()(const Warp& lane, int64_t r) const {
    LayerNormRow::forward(lane, x + r * c, gamma, beta, y + r * c, mean + r, rstd + r, c, eps);
  }
};

template <class T>
struct LayerNormBackward {
  const T *dy, *x, *gamma, *mean, *rstd;
  T* dx;
  int64_t c;
  KDEF_DEVICE void operator()(const Warp& lane, int64_t r) const {
    LayerNormRow::backward(lane, dy + r * c, x + r * c, gamma, mean[r], rstd[r], dx + r * c, c);
  }
};

}  // namespace

int64_t column_moments(Group& group, const Tensor& x, double eps, const Tensor& mean, const Tensor& var,
                       const Tensor& rstd) {
  int64_t rows = x.shape()[0];
  const int64_t c = x.shape()[1], parts = parts_of(rows);
  Tensor mine = group.is_alone() ? Tensor() : Tensor::empty({2, c}, DType::f64, x.device());
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    const Tensor partial = Tensor::empty({parts, 2, c}, x.dtype(), x.device());
    with_vectors(c, {x.raw()}, [&]<int V>() {
      const Tiles tiles(rows, c, V);
      for_blocks(tiles.blocks(), shared_for_lanes<1, V, T>(), PartMoments<T, V>{x.data<T>(), partial.data<T>(), tiles});
    });
    for_blocks(PartLanes::blocks(c), PartLanes::kShared,
               AllMoments<T>{partial.data<T>(), mine.defined() ? mine.data<double>() : nullptr, mean.data<T>(),
                             var.data<T>(), rstd.data<T>(), rows, c, parts, eps});
    if (!mine.defined()) return;
    std::vector<double> all = mine.to_vector<double>();
    const std::span<double> both(all);
    const size_t columns = static_cast<size_t>(c);
    rows = moments_of_group(group, rows, both.first(columns), both.last(columns));
    mine.copy_from(Tensor::from(all, {2, c}));
    for_each(c, FinishMoments<T>{mine.data<double>(), mean.data<T>(), var.data<T>(), rstd.data<T>(),
                                 static_cast<double>(rows), c, eps});
  });
  return rows;
}

void move_running(const std::vector<Tensor>& running, const Tensor& observed, const Tensor& shift, double momentum,
                  double factor) {
  for_float(observed.dtype(), "batch_norm", [&]<class T>() {
    const int64_t columns = observed.numel() / static_cast<int64_t>(running.size());
    MoveRunning<T> kernel{observed.data<T>(),
                          shift.defined() ? shift.data<T>() : nullptr,
                          columns,
                          static_cast<T>(momentum),
                          static_cast<T>(factor),
                          {}};
    for (size_t m = 0; m < running.size(); ++m) kernel.running[m] = running[m].data<T>();
    for_each(observed.numel(), kernel);
  });
}

void reciprocal_sqrt(const Tensor& var, double eps, const Tensor& rstd) {
  for_float(var.dtype(), "batch_norm", [&]<class T>() {
    for_each(var.numel(), ReciprocalSqrt<T>{var.data<T>(), rstd.data<T>(), eps});
  });
}

void column_normalise(const NormState& s, const Tensor& y) {
  for_float(s.x.dtype(), "batch_norm", [&]<class T>() {
    for_each(s.x.numel(), Normalise<T>{s.x.data<T>(), s.mean.data<T>(), s.rstd.data<T>(), s.gamma.data<T>(),
                                       s.beta.data<T>(), y.data<T>(), s.x.shape()[1]});
  });
}

void column_norm_sums(const Tensor& dy, const NormState& s, const NormSums& sums) {
  for_float(s.x.dtype(), "batch_norm", [&]<class T>() {
    const int64_t rows = s.x.shape()[0], c = s.x.shape()[1];
    const ColumnTerms<T> terms{dy.data<T>(),
                               s.x.data<T>(),
                               s.mean.data<T>(),
                               s.rstd.data<T>(),
                               sums.dgamma.data<T>(),
                               sums.dbeta.data<T>(),
                               c};
    with_vectors(c, {terms.dy, terms.x, terms.mean, terms.rstd},
                 [&]<int V>() { sum_tiles<T, V, 2>(rows, c, s.x.device(), terms); });
  });
}

void column_norm_dx(const Tensor& dy, const NormState& s, const NormSums& sums, const Tensor& dx) {
  for_float(s.x.dtype(), "batch_norm", [&]<class T>() {
    const T share = s.batch.rows == 0 ? T(0) : T(1) / static_cast<T>(s.batch.rows);
    for_each(s.x.numel(), NormDx<T>{dy.data<T>(), s.x.data<T>(), s.mean.data<T>(), s.rstd.data<T>(), s.gamma.data<T>(),
                                    sums.dgamma.data<T>(), sums.dbeta.data<T>(), dx.data<T>(), s.x.shape()[1], share});
  });
}

void column_norm_relu_dropout(const NormState& s, const std::vector<DropoutKey>& keys, const Tensor& y) {
  for_types(s.x, y, [&]<class T, class U>() {
    const int64_t rows = s.x.shape()[0], c = s.x.shape()[1];
    const NormReluDropout<T, U> work{s.x.data<T>(),
                                     s.mean.data<T>(),
                                     s.rstd.data<T>(),
                                     s.gamma.data<T>(),
                                     s.beta.data<T>(),
                                     y.data<U>(),
                                     c,
                                     BlockMasks(s.rate, keys, c)};
    with_vectors(work.masks.columns, {work.x, work.mean, work.rstd, work.gamma, work.beta, work.y},
                 [&]<int V>() { for_tiles<V>(rows, c, work); });
  });
}

void column_norm_relu_dropout_sums(const Tensor& dy, const NormState& s, const NormSums& sums) {
  for_types(s.x, s.kept, [&]<class T, class U>() {
    const int64_t rows = s.x.shape()[0], c = s.x.shape()[1];
    const HiddenLayerTerms<T, U> terms{dy.data<T>(),         s.kept.data<U>(),     s.x.data<T>(),
                                       s.mean.data<T>(),     s.rstd.data<T>(),     sums.dgamma.data<T>(),
                                       sums.dbeta.data<T>(), 1.0 / (1.0 - s.rate), c};
    with_vectors(c, {terms.dy, terms.y, terms.x, terms.mean},
                 [&]<int V>() { sum_tiles<T, V, 2>(rows, c, s.x.device(), terms); });
  });
}

void column_norm_relu_dropout_dx(const Tensor& dy, const NormState& s, const NormSums& sums, const Tensor& dx,
                                 const Tensor& dbias) {
  for_types(s.x, s.kept, [&]<class T, class U>() {
    const int64_t rows = s.x.shape()[0], c = s.x.shape()[1];
    const double share = s.batch.rows == 0 ? 0.0 : 1.0 / static_cast<double>(s.batch.rows);
    const NormReluDropoutDx<T, U> work{dy.data<T>(),
                                       s.kept.data<U>(),
                                       s.x.data<T>(),
                                       s.mean.data<T>(),
                                       s.rstd.data<T>(),
                                       s.gamma.data<T>(),
                                       sums.dgamma.data<T>(),
                                       sums.dbeta.data<T>(),
                                       dx.data<U>(),
                                       c,
                                       share,
                                       1.0 / (1.0 - s.rate)};
    with_vectors(c, {work.dy, work.y, work.x, work.mean, work.dx}, [&]<int V>() {
      if (!dbias.defined()) return for_tiles<V>(rows, c, work);
      sum_tiles<T, V, 1>(rows, c, s.x.device(), RowSums<T, NormReluDropoutDx<T, U>>{work, dbias.data<T>()});
    });
  });
}

void layer_norm_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& y, const Tensor& mean,
                        const Tensor& rstd, double eps) {
  for_float(x.dtype(), "layer_norm", [&]<class T>() {
    const int64_t c = x.shape().back();
    for_warps(x.numel() / c, LayerNormForward<T>{x.data<T>(), gamma.data<T>(), beta.data<T>(), y.data<T>(),
                                                 mean.data<T>(), rstd.data<T>(), c, static_cast<T>(eps)});
  });
}

void layer_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean, const Tensor& rstd,
                         const Tensor& dx) {
  for_float(x.dtype(), "layer_norm", [&]<class T>() {
    const int64_t c = x.shape().back();
    for_warps(x.numel() / c, LayerNormBackward<T>{dy.data<T>(), x.data<T>(), gamma.data<T>(), mean.data<T>(),
                                                  rstd.data<T>(), dx.data<T>(), c});
  });
}

void layer_norm_sums(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& dgamma,
                     const Tensor& dbeta) {
  for_float(x.dtype(), "layer_norm", [&]<class T>() {
    const int64_t c = x.shape().back();
    const RowTerms<T> terms{
        dy.data<T>(), x.data<T>(), mean.data<T>(), rstd.data<T>(), dgamma.data<T>(), dbeta.data<T>(), c};
    with_vectors(c, {terms.dy, terms.x}, [&]<int V>() { sum_tiles<T, V, 2>(x.numel() / c, c, x.device(), terms); });
  });
}

}  // namespace kdef::ops::cuda
