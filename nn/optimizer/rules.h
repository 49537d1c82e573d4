// Scalar maths of the optimizers, for every device.
#pragma once

#include <cmath>

#include "core/base/hd.h"

namespace kdef::nn {

/// The regularized gradient of one element: g + l2 w + l1 sign(w).
template <class T>
KDEF_HD T regularized(T g, T w, T l1, T l2) {
  return g + l2 * w + l1 * static_cast<T>((w > T(0)) - (w < T(0)));
}

// The update rules: one element's regularized and clipped gradient g, its value w and its state m, v. kM, kV: whether a
// rule has them.

template <class T>
struct AdamRule {  // m <- m + (1-b1)(g - m), v <- b2 v + (1-b2) g^2, w <- w - lr/(1-b1^t) m / (sqrt(v/(1-b2^t)) + eps)
  static constexpr bool kM = true, kV = true;
  T one_b1, b2, one_b2, eps, rate, root;  // rate = lr / (1-b1^t), root = 1 / sqrt(1-b2^t)

  /// 1 - beta^t
  static KDEF_HD double correction(double beta, double t) { return 1 - pow(beta, t); }
  static KDEF_HD AdamRule at(double beta1, double beta2, double eps, double learning_rate, double correction1,
                             double correction2) {
    return {static_cast<T>(1 - beta1),
            static_cast<T>(beta2),
            static_cast<T>(1 - beta2),
            static_cast<T>(eps),
            static_cast<T>(learning_rate / correction1),
            static_cast<T>(1 / sqrt(correction2))};
  }
  KDEF_HD void operator()(T g, T& w, T& m, T& v) const {
    m += one_b1 * (g - m);
    v = b2 * v + one_b2 * g * g;
    w -= rate * m / (std::sqrt(v) * root + eps);
  }
};

template <class T>
struct SgdRule {  // w <- w - lr g
  static constexpr bool kM = false, kV = false;
  T rate;
  KDEF_HD void operator()(T g, T& w, T&, T&) const { w -= rate * g; }
};

template <class T>
struct AdagradRule {  // v <- v + g^2, w <- w - lr g / (sqrt(v) + 1e-10)
  static constexpr bool kM = false, kV = true;
  T rate;
  KDEF_HD void operator()(T g, T& w, T&, T& v) const {
    v += g * g;
    w -= rate * g / (std::sqrt(v) + T(1e-10));
  }
};

}  // namespace kdef::nn
