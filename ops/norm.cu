#include "core/cuda/launch.cuh"
#include "ops/norm.h"
#include "ops/norm_functors.h"
#include "ops/parts.cuh"
#include "ops/rowwise_functors.h"

namespace kdef::ops::cuda {
namespace {

using kdef::cuda::for_each;
using kdef::cuda::for_warps;
using kdef::cuda::Warp;

// Parts are summed in the tensor's type, and combined in fp64.

// -- moments

// A thread per part and column: the part's mean, and its sum of squared deviations from that mean.
template <class T>
struct PartMoments {
  const T* x;
  T* partial;  // [parts, 2, c]
  int64_t rows, c;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t j = i % c;
    const Part part(i / c, rows);
    T mean = 0, squares = 0;
    for (int64_t r = part.begin; r < part.end; ++r) mean += x[r * c + j];
    mean /= static_cast<T>(part.end - part.begin);
    for (int64_t r = part.begin; r < part.end; ++r) squares += (x[r * c + j] - mean) * (x[r * c + j] - mean);
    T* to = partial + i / c * 2 * c + j;
    to[0] = mean;
    to[c] = squares;
  }
};

// A warp per column. Chan, Golub, LeVeque (1979) for all parts at once: with mean the mean of all rows,
// M2 = sum over parts of M2_p + n_p (mean_p - mean)^2.
template <class T>
struct AllMoments {
  const T* partial;
  T *mean, *var, *rstd;
  int64_t rows, c, parts;
  double eps;
  KDEF_DEVICE void operator()(const Warp& lane, int64_t j) const {
    const double n = static_cast<double>(rows);
    double total = 0;
    for (int64_t p = lane.id(); p < parts; p += lane.size()) total += size(p) * part_mean(p, j);
    const double mu = lane.sum(total) / n;
    double squares = 0;
    for (int64_t p = lane.id(); p < parts; p += lane.size()) {
      const double d = part_mean(p, j) - mu;
      squares += static_cast<double>(partial[(2 * p + 1) * c + j]) + size(p) * d * d;
    }
    const double variance = lane.sum(squares) / n;
    if (lane.id() != 0) return;
    mean[j] = static_cast<T>(mu);
    var[j] = static_cast<T>(variance);
    rstd[j] = static_cast<T>(1.0 / std::sqrt(variance + eps));
  }
  KDEF_DEVICE double size(int64_t p) const {
    const Part part(p, rows);
    return static_cast<double>(part.end - part.begin);
  }
  KDEF_DEVICE double part_mean(int64_t p, int64_t j) const { return static_cast<double>(partial[2 * p * c + j]); }
};

template <class T>
struct MoveRunning {
  T* running;
  const T* observed;
  T momentum, factor;
  KDEF_DEVICE void operator()(int64_t j) const {
    running[j] = ColumnNorm::moved(running[j], observed[j], momentum, factor);
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

// A thread per part and column. `terms` gives (row, column, element) its two terms.
template <class T, class Terms>
struct PartSums {
  Terms terms;
  T* partial;  // [parts, 2, c]
  int64_t rows, c;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t j = i % c;
    const Part part(i / c, rows);
    T a = 0, b = 0;
    for (int64_t r = part.begin; r < part.end; ++r) terms.add(r, j, r * c + j, a, b);
    T* to = partial + i / c * 2 * c + j;
    to[0] = a;
    to[c] = b;
  }
};

// A warp per column.
template <class T, class Terms>
struct AllSums {
  Terms terms;
  const T* partial;
  T *dgamma, *dbeta;
  int64_t c, parts;
  KDEF_DEVICE void operator()(const Warp& lane, int64_t j) const {
    double a = 0, b = 0;
    for (int64_t p = lane.id(); p < parts; p += lane.size()) {
      a += static_cast<double>(partial[2 * p * c + j]);
      b += static_cast<double>(partial[(2 * p + 1) * c + j]);
    }
    a = lane.sum(a);
    b = lane.sum(b);
    if (lane.id() != 0) return;
    dgamma[j] = static_cast<T>(terms.dgamma(a, j));
    dbeta[j] = static_cast<T>(terms.dbeta(b));
  }
};

template <class T, class Terms>
void sum_terms(int64_t rows, int64_t c, const Terms& terms, const Tensor& dgamma, const Tensor& dbeta) {
  const int64_t parts = parts_of(rows);
  const Tensor partial = Tensor::empty({parts, 2, c}, dgamma.dtype(), dgamma.device());
  for_each(parts * c, PartSums<T, Terms>{terms, partial.data<T>(), rows, c});
  for_warps(c, AllSums<T, Terms>{terms, partial.data<T>(), dgamma.data<T>(), dbeta.data<T>(), c, parts});
}

template <class T>
struct ColumnTerms {
  const T *dy, *x, *mean, *rstd;
  KDEF_DEVICE void add(int64_t, int64_t j, int64_t at, T& a, T& b) const {
    a += dy[at] * ColumnNorm::h(x[at], mean[j], rstd[j]);
    b += dy[at];
  }
  KDEF_DEVICE double dgamma(double sum, int64_t) const { return sum; }
  KDEF_DEVICE double dbeta(double sum) const { return sum; }
};

// What is the same in all rows is multiplied afterwards.
template <class T>
struct HiddenLayerTerms {
  const T *dy, *y, *x, *mean, *rstd;
  double factor;
  KDEF_DEVICE void add(int64_t, int64_t j, int64_t at, T& a, T& b) const {
    const T d = HiddenLayerDx<T>::d(dy[at], y[at]);
    a += d * (x[at] - mean[j]);
    b += d;
  }
  KDEF_DEVICE double dgamma(double sum, int64_t j) const { return sum * factor * static_cast<double>(rstd[j]); }
  KDEF_DEVICE double dbeta(double sum) const { return sum * factor; }
};

template <class T>
struct RowTerms {
  const T *dy, *x, *mean, *rstd;
  KDEF_DEVICE void add(int64_t r, int64_t, int64_t at, T& a, T& b) const {
    a += dy[at] * ColumnNorm::h(x[at], mean[r], rstd[r]);
    b += dy[at];
  }
  KDEF_DEVICE double dgamma(double sum, int64_t) const { return sum; }
  KDEF_DEVICE double dbeta(double sum) const { return sum; }
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

template <class T>
struct NormRelu {
  const T *x, *mean, *rstd, *gamma, *beta;
  T* y;
  int64_t c;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t j = i % c;
    const T v = ColumnNorm::f(x[i], mean[j], rstd[j], gamma[j], beta[j]);
    y[i] = v < T(0) ? T(0) : v;
  }
};

// A thread per Philox block: elements 4 i .. 4 i + 3.
template <class T>
struct NormReluDropout {
  const T *x, *mean, *rstd, *gamma, *beta;
  T* y;
  int64_t n, c;
  T factor;
  uint32_t threshold;
  DropoutKey key;
  KDEF_DEVICE void operator()(int64_t i) const {
    const auto bits = Philox::block(key.seed, key.stream_now(), static_cast<uint64_t>(i));
    for (int64_t k = 0; k < 4 && 4 * i + k < n; ++k) {
      const int64_t at = 4 * i + k, j = at % c;
      const T v = ColumnNorm::f(x[at], mean[j], rstd[j], gamma[j], beta[j]);
      const T kept = bits[static_cast<size_t>(k)] < threshold ? T(0) : v * factor;
      y[at] = kept < T(0) ? T(0) : kept;
    }
  }
};

template <class T>
struct NormReluDropoutDx {
  const T *dy, *y, *x, *mean, *rstd, *gamma, *dgamma, *dbeta;
  T* dx;
  int64_t c;
  double share, factor;
  KDEF_DEVICE void operator()(int64_t i) const {
    const int64_t j = i % c;
    const HiddenLayerDx<T> of(rstd[j], gamma[j], dgamma[j], dbeta[j], share, factor);
    dx[i] = of.dx(of.a, of.b, of.e, of.d(dy[i], y[i]), x[i], mean[j]);
  }
};

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

void column_moments(const Tensor& x, const Tensor& mean, const Tensor& var, const Tensor& rstd, double eps) {
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    const int64_t rows = x.shape()[0], c = x.shape()[1], parts = parts_of(rows);
    const Tensor partial = Tensor::empty({parts, 2, c}, x.dtype(), x.device());
    for_each(parts * c, PartMoments<T>{x.data<T>(), partial.data<T>(), rows, c});
    for_warps(c, AllMoments<T>{partial.data<T>(), mean.data<T>(), var.data<T>(), rstd.data<T>(), rows, c, parts, eps});
  });
}

void move_running(const Tensor& running, const Tensor& observed, double momentum, double factor) {
  for_float(running.dtype(), "batch_norm", [&]<class T>() {
    for_each(running.numel(),
             MoveRunning<T>{running.data<T>(), observed.data<T>(), static_cast<T>(momentum), static_cast<T>(factor)});
  });
}

void reciprocal_sqrt(const Tensor& var, double eps, const Tensor& rstd) {
  for_float(var.dtype(), "batch_norm", [&]<class T>() {
    for_each(var.numel(), ReciprocalSqrt<T>{var.data<T>(), rstd.data<T>(), eps});
  });
}

void column_normalise(const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& gamma, const Tensor& beta,
                      const Tensor& y) {
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    for_each(x.numel(), Normalise<T>{x.data<T>(), mean.data<T>(), rstd.data<T>(), gamma.data<T>(), beta.data<T>(),
                                     y.data<T>(), x.shape()[1]});
  });
}

void column_norm_sums(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& dgamma,
                      const Tensor& dbeta) {
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    const ColumnTerms<T> terms{dy.data<T>(), x.data<T>(), mean.data<T>(), rstd.data<T>()};
    sum_terms<T>(x.shape()[0], x.shape()[1], terms, dgamma, dbeta);
  });
}

void column_norm_dx(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& gamma,
                    const Tensor& dgamma, const Tensor& dbeta, bool constant, const Tensor& dx) {
  for_float(x.dtype(), "batch_norm", [&]<class T>() {
    const int64_t rows = x.shape()[0], c = x.shape()[1];
    const T share = constant ? T(0) : T(1) / static_cast<T>(rows);
    for_each(rows * c, NormDx<T>{dy.data<T>(), x.data<T>(), mean.data<T>(), rstd.data<T>(), gamma.data<T>(),
                                 dgamma.data<T>(), dbeta.data<T>(), dx.data<T>(), c, share});
  });
}

void column_norm_relu_dropout(const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& gamma,
                              const Tensor& beta, double p, const DropoutKey& key, const Tensor& y) {
  for_float(x.dtype(), "batch_norm_relu_dropout", [&]<class T>() {
    const int64_t n = x.numel(), c = x.shape()[1];
    const T *m = mean.data<T>(), *s = rstd.data<T>(), *g = gamma.data<T>(), *b = beta.data<T>();
    if (p == 0) return for_each(n, NormRelu<T>{x.data<T>(), m, s, g, b, y.data<T>(), c});
    for_each((n + 3) / 4, NormReluDropout<T>{x.data<T>(), m, s, g, b, y.data<T>(), n, c,
                                             static_cast<T>(1.0 / (1.0 - p)), dropout_threshold(p), key});
  });
}

void column_norm_relu_dropout_sums(const Tensor& dy, const Tensor& y, const Tensor& x, const Tensor& mean,
                                   const Tensor& rstd, double p, const Tensor& dgamma, const Tensor& dbeta) {
  for_float(x.dtype(), "batch_norm_relu_dropout", [&]<class T>() {
    const HiddenLayerTerms<T> terms{dy.data<T>(),   y.data<T>(),    x.data<T>(),
                                    mean.data<T>(), rstd.data<T>(), 1.0 / (1.0 - p)};
    sum_terms<T>(x.shape()[0], x.shape()[1], terms, dgamma, dbeta);
  });
}

void column_norm_relu_dropout_dx(const Tensor& dy, const Tensor& y, const Tensor& x, const Tensor& mean,
                                 const Tensor& rstd, const Tensor& gamma, const Tensor& dgamma, const Tensor& dbeta,
                                 double p, bool constant, const Tensor& dx) {
  for_float(x.dtype(), "batch_norm_relu_dropout", [&]<class T>() {
    const int64_t rows = x.shape()[0], c = x.shape()[1];
    const double share = constant ? 0.0 : 1.0 / static_cast<double>(rows);
    for_each(rows * c, NormReluDropoutDx<T>{dy.data<T>(), y.data<T>(), x.data<T>(), mean.data<T>(), rstd.data<T>(),
                                            gamma.data<T>(), dgamma.data<T>(), dbeta.data<T>(), dx.data<T>(), c, share,
                                            1.0 / (1.0 - p)});
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
    const RowTerms<T> terms{dy.data<T>(), x.data<T>(), mean.data<T>(), rstd.data<T>()};
    sum_terms<T>(x.numel() / c, c, terms, dgamma, dbeta);
  });
}

}  // namespace kdef::ops::cuda
