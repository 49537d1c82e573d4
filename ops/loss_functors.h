// Scalar maths of the losses, for every device: the loss of one element, and its derivative by the first argument.
#pragma once

#include <cmath>

#include "ops/elementwise_functors.h"

namespace kdef::ops {

// kSymmetric: f(a, b) = f(b, a). The derivative by b is then da(b, a); otherwise b is a constant.

struct Bce {  // l = -(y ln p + (1 - y) ln(1 - p)), logarithms >= -100 | da = (p - y) / max(p (1 - p), 1e-12)
  static constexpr bool kSymmetric = false;
  template <class T>
  static KDEF_HD T f(T p, T y) {
    const T lp = std::log(p), lq = std::log1p(-p);
    return -(y * (lp < T(-100) ? T(-100) : lp) + (T(1) - y) * (lq < T(-100) ? T(-100) : lq));  // NaN stays NaN
  }
  template <class T>
  static KDEF_HD T da(T p, T y) {
    const T v = p * (T(1) - p);
    return (p - y) / (v > T(1e-12) ? v : T(1e-12));
  }
};
struct BceLogits {  // l = max(z, 0) - z y + ln(1 + e^-|z|) | da = sigmoid(z) - y
  static constexpr bool kSymmetric = false;
  template <class T>
  static KDEF_HD T f(T z, T y) {
    return (z > T(0) ? z : T(0)) - z * y + std::log1p(std::exp(z > T(0) ? -z : z));
  }
  template <class T>
  static KDEF_HD T da(T z, T y) {
    return Sigmoid::f(z) - y;
  }
};
struct Mse {  // l = (a - b)^2 | da = 2 (a - b)
  static constexpr bool kSymmetric = true;
  template <class T>
  static KDEF_HD T f(T a, T b) {
    return (a - b) * (a - b);
  }
  template <class T>
  static KDEF_HD T da(T a, T b) {
    return 2 * (a - b);
  }
};

}  // namespace kdef::ops
