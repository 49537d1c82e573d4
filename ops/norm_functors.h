// Maths of normalisation by columns, for the kernels of every device.
#pragma once

#include "core/base/hd.h"

namespace kdef::ops {

/// y = gamma h + beta with h = (x - mean) rstd.
struct ColumnNorm {
  template <class T>
  static KDEF_HD T h(T x, T mean, T rstd) {
    return (x - mean) * rstd;
  }
  template <class T>
  static KDEF_HD T f(T x, T mean, T rstd, T gamma, T beta) {
    return gamma * h(x, mean, rstd) + beta;
  }
  /// `share` is 1 / B, or 0 for constant moments.
  template <class T>
  static KDEF_HD T dx(T dy, T x, T mean, T rstd, T gamma, T dgamma, T dbeta, T share) {
    return gamma * rstd * (dy - share * (dbeta + h(x, mean, rstd) * dgamma));
  }
  /// running + momentum (factor observed + shift - running)
  template <class T>
  static KDEF_HD T moved(T running, T observed, T shift, T momentum, T factor) {
    return running + momentum * (observed * factor + shift - running);
  }
};

// The fused hidden layer y = dropout(max(batch_norm(x), 0)), where `factor` is 1 / (1 - p) and d = dy [y > 0]. Its
// gradients are those of batch normalisation for factor d in place of dy.

/// dgamma and dbeta. They are made in two steps: kernels add up d (x - mean) and d over the rows, part by part;
/// finish() then multiplies the whole sums of a column by what is the same in all rows.
struct HiddenLayerSums {
  double dgamma, dbeta;

  /// Adds the terms of one row. They may be numbers, or vectors of numbers.
  template <class V, class S>
  static KDEF_HD void add(const V& d, const V& x, const V& mean, S& products, S& plain) {
    products += d * (x - mean);
    plain += d;
  }
  static KDEF_HD HiddenLayerSums finish(double products, double plain, double rstd, double factor) {
    return {products * factor * rstd, plain * factor};
  }
};

/// The same where the layer is read by one output z = y w + bias alone, so that dy = dz w. `of_k` is finished from the
/// sums for k = dz [y > 0] in place of d: d is w k, and y is factor (gamma (x - mean) rstd + beta) where it is not 0.
struct OneOutputSums {
  double dgamma, dbeta, dweight;
  KDEF_HD OneOutputSums(const HiddenLayerSums& of_k, double w, double gamma, double beta)
      : dgamma(w * of_k.dgamma), dbeta(w * of_k.dbeta), dweight(gamma * of_k.dgamma + beta * of_k.dbeta) {}
};

/// dx = a d + b (x - mean) + e, with coefficients per column. `share` is 1 / B, or 0 for constant moments. Without
/// rounding, the sum of dx over the rows is 0, and it should stay small. a is rounded to T, so e is computed from this
/// rounded a: then e still cancels the sum of a d.
template <class T>
struct HiddenLayerDx {
  T a, b, e;
  KDEF_HD HiddenLayerDx(T rstd, T gamma, double dgamma, double dbeta, double share, double factor) {
    const double w = static_cast<double>(gamma) * static_cast<double>(rstd);
    a = static_cast<T>(w * factor);
    b = static_cast<T>(-w * share * dgamma * static_cast<double>(rstd));
    e = static_cast<T>(-static_cast<double>(a) / factor * share * dbeta);
  }
  static KDEF_HD T d(T dy, T y) { return y > T(0) ? dy : T(0); }
  template <class V>
  static KDEF_HD V dx(V a, V b, V e, V d, V x, V mean) {
    return a * d + (b * (x - mean) + e);
  }
};

}  // namespace kdef::ops
