// Maths of normalisation by columns, for every device.
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

/// dx of the fused hidden layer y = dropout(max(batch_norm(x), 0)): ColumnNorm::dx of d / (1 - p), d = dy [y > 0], as
/// a d + b (x - mean) + e with coefficients per column. `share` as above, `factor` 1 / (1 - p). The sum of dx over the
/// rows is 0, and is to stay small: e cancels the sum of a d for the a that is used, which is rounded: hence a /
/// factor, not w.
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
