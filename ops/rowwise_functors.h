// The maths of one row, for every device (ops/device/lane.h). Rows may be strided, so that any axis can be "the row".
#pragma once

#include <cmath>
#include <limits>

#include "ops/device/lane.h"

namespace kdef::ops {

/// y = softmax(sign x); sign is 1 for softmax, -1 for softmin. The maximum is subtracted from every exponent, so that
/// no exponential overflows.
struct SoftmaxRow {
  template <class Lane, class T>
  static KDEF_HD void forward(const Lane& lane, const T* x, T* y, int64_t n, int64_t stride, T sign) {
    T top = -std::numeric_limits<T>::infinity();
    for (int64_t i = lane.id(); i < n; i += lane.size()) {
      const T v = sign * x[i * stride];
      top = v > top ? v : top;
    }
    top = lane.max(top);
    T total = 0;
    for (int64_t i = lane.id(); i < n; i += lane.size()) {
      const T e = std::exp(sign * x[i * stride] - top);
      y[i * stride] = e;
      total += e;
    }
    total = lane.sum(total);
    for (int64_t i = lane.id(); i < n; i += lane.size()) y[i * stride] /= total;
  }

  /// dx = sign y (dy - sum_j y_j dy_j)
  template <class Lane, class T>
  static KDEF_HD void backward(const Lane& lane, const T* dy, const T* y, T* dx, int64_t n, int64_t stride, T sign) {
    T dot = 0;
    for (int64_t i = lane.id(); i < n; i += lane.size()) dot += y[i * stride] * dy[i * stride];
    dot = lane.sum(dot);
    for (int64_t i = lane.id(); i < n; i += lane.size()) {
      dx[i * stride] = sign * y[i * stride] * (dy[i * stride] - dot);
    }
  }
};

/// y = gamma (x - mu) / sqrt(var + eps) + beta over the row, var biased (Ba, Kiros, Hinton 2016, arXiv
/// 1607.06450).
struct LayerNormRow {
  template <class Lane, class T>
  static KDEF_HD void forward(const Lane& lane, const T* x, const T* gamma, const T* beta, T* y, T* mean, T* rstd,
                              int64_t n, T eps) {
    T total = 0;
    for (int64_t i = lane.id(); i < n; i += lane.size()) total += x[i];
    const T mu = lane.sum(total) / static_cast<T>(n);
    T squares = 0;
    for (int64_t i = lane.id(); i < n; i += lane.size()) squares += (x[i] - mu) * (x[i] - mu);
    const T r = T(1) / std::sqrt(lane.sum(squares) / static_cast<T>(n) + eps);
    for (int64_t i = lane.id(); i < n; i += lane.size()) y[i] = gamma[i] * (x[i] - mu) * r + beta[i];
    if (lane.id() == 0) {
      *mean = mu;
      *rstd = r;
    }
  }

  /// With h = (x - mu) r and g = gamma dy:  dx = r (g - mean(g) - h mean(g h))
  template <class Lane, class T>
  static KDEF_HD void backward(const Lane& lane, const T* dy, const T* x, const T* gamma, T mean, T rstd, T* dx,
                               int64_t n) {
    T sum_g = 0, sum_gh = 0;
    for (int64_t i = lane.id(); i < n; i += lane.size()) {
      const T g = gamma[i] * dy[i];
      sum_g += g;
      sum_gh += g * (x[i] - mean) * rstd;
    }
    const T mean_g = lane.sum(sum_g) / static_cast<T>(n), mean_gh = lane.sum(sum_gh) / static_cast<T>(n);
    for (int64_t i = lane.id(); i < n; i += lane.size()) {
      dx[i] = rstd * (gamma[i] * dy[i] - mean_g - (x[i] - mean) * rstd * mean_gh);
    }
  }
};

}  // namespace kdef::ops
