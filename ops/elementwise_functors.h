// Elementwise ops: to add one, write its functor and its row in the list below. Everything else follows from
// the row: the public function (elementwise.h), the CPU loop and the CUDA kernel, the gradient check, the row
// in docs/gradients.md.
//
// A functor holds scalar maths only, under a line `y = ... | dx = ...`: f is the value, dx (or da and db) the product
// of the incoming gradient dy with the derivative. The same functor runs on every device, in fp32 and fp64. kReads
// (kReadsDa, kReadsDb) says which tensors the derivative reads beside dy: they are saved, the others are not, and the
// derivative gets undefined numbers in their place.
#pragma once

#include <cmath>

#include "core/base/hd.h"

namespace kdef::ops {

/// The tensors that a derivative reads: the input x or inputs a and b, and the result y.
enum Reads : unsigned { kNothing = 0, kX = 1, kA = 1, kB = 2, kY = 4 };

// ---- of one tensor

struct Neg {  // y = -x | dx = -dy
  static constexpr unsigned kReads = kNothing;
  template <class T>
  static KDEF_HD T f(T x) {
    return -x;
  }
  template <class T>
  static KDEF_HD T dx(T dy, T, T) {
    return -dy;
  }
};
struct Abs {  // y = |x| | dx = dy sign(x), 0 at x = 0
  static constexpr unsigned kReads = kX;
  template <class T>
  static KDEF_HD T f(T x) {
    return x < T(0) ? -x : x;
  }
  template <class T>
  static KDEF_HD T dx(T dy, T x, T) {
    return x > T(0) ? dy : x < T(0) ? -dy : T(0);
  }
};
struct Exp {  // y = e^x | dx = dy y
  static constexpr unsigned kReads = kY;
  template <class T>
  static KDEF_HD T f(T x) {
    return std::exp(x);
  }
  template <class T>
  static KDEF_HD T dx(T dy, T, T y) {
    return dy * y;
  }
};
struct Log {  // y = ln x | dx = dy / x
  static constexpr unsigned kReads = kX;
  template <class T>
  static KDEF_HD T f(T x) {
    return std::log(x);
  }
  template <class T>
  static KDEF_HD T dx(T dy, T x, T) {
    return dy / x;
  }
};
struct Sqrt {  // y = sqrt(x) | dx = dy / (2 y)
  static constexpr unsigned kReads = kY;
  template <class T>
  static KDEF_HD T f(T x) {
    return std::sqrt(x);
  }
  template <class T>
  static KDEF_HD T dx(T dy, T, T y) {
    return dy / (T(2) * y);
  }
};
struct Square {  // y = x^2 | dx = 2 x dy
  static constexpr unsigned kReads = kX;
  template <class T>
  static KDEF_HD T f(T x) {
    return x * x;
  }
  template <class T>
  static KDEF_HD T dx(T dy, T x, T) {
    return T(2) * x * dy;
  }
};
struct Relu {  // y = max(x, 0) | dx = dy [x > 0]
  static constexpr unsigned kReads = kX;
  template <class T>
  static KDEF_HD T f(T x) {
    return x < T(0) ? T(0) : x;  // NaN stays NaN
  }
  template <class T>
  static KDEF_HD T dx(T dy, T x, T) {
    return x > T(0) ? dy : T(0);
  }
};
struct Sigmoid {  // y = 1 / (1 + e^-x) | dx = dy y (1 - y)
  static constexpr unsigned kReads = kY;
  template <class T>
  static KDEF_HD T f(T x) {
    // Either branch takes the exponential of a negative number: no overflow, full precision at both ends.
    if (x >= T(0)) return T(1) / (T(1) + std::exp(-x));
    const T e = std::exp(x);
    return e / (T(1) + e);
  }
  template <class T>
  static KDEF_HD T dx(T dy, T, T y) {
    return dy * y * (T(1) - y);
  }
};
struct Tanh {  // y = tanh(x) | dx = dy (1 - y^2)
  static constexpr unsigned kReads = kY;
  template <class T>
  static KDEF_HD T f(T x) {
    return std::tanh(x);
  }
  template <class T>
  static KDEF_HD T dx(T dy, T, T y) {
    return dy * (T(1) - y * y);
  }
};
struct Sin {  // y = sin x | dx = dy cos x
  static constexpr unsigned kReads = kX;
  template <class T>
  static KDEF_HD T f(T x) {
    return std::sin(x);
  }
  template <class T>
  static KDEF_HD T dx(T dy, T x, T) {
    return dy * std::cos(x);
  }
};
struct Cos {  // y = cos x | dx = -dy sin x
  static constexpr unsigned kReads = kX;
  template <class T>
  static KDEF_HD T f(T x) {
    return std::cos(x);
  }
  template <class T>
  static KDEF_HD T dx(T dy, T x, T) {
    return -dy * std::sin(x);
  }
};

struct Silu {  // y = x s, s = sigmoid(x) | dx = dy s (1 + x (1 - s))  (Elfwing, Uchibe, Doya 2018, arXiv 1702.03118)
  static constexpr unsigned kReads = kX;
  template <class T>
  static KDEF_HD T f(T x) {
    return x * Sigmoid::f(x);
  }
  template <class T>
  static KDEF_HD T dx(T dy, T x, T) {
    const T s = Sigmoid::f(x);
    return dy * s * (T(1) + x * (T(1) - s));
  }
};
struct Gelu {  // y = x P, P = (1 + erf(x / sqrt 2)) / 2 | dx = dy (P + x e^(-x^2/2) / sqrt(2 pi))  (arXiv 1606.08415)
  static constexpr unsigned kReads = kX;
  template <class T>
  static KDEF_HD T normal_probability(T x) {
    // erfc keeps its digits for negative x, where 1 + erf cancels.
    return T(0.5) * std::erfc(x * T(-0.70710678118654752440));
  }
  template <class T>
  static KDEF_HD T f(T x) {
    return x * normal_probability(x);
  }
  template <class T>
  static KDEF_HD T dx(T dy, T x, T) {
    return dy * (normal_probability(x) + x * T(0.39894228040143267794) * std::exp(T(-0.5) * x * x));
  }
};

// ---- of one tensor and a number c

struct Scale {  // y = c x | dx = c dy
  static constexpr unsigned kReads = kNothing;
  double c;
  template <class T>
  KDEF_HD T f(T x) const {
    return T(c) * x;
  }
  template <class T>
  KDEF_HD T dx(T dy, T, T) const {
    return T(c) * dy;
  }
};
struct Shift {  // y = x + c | dx = dy
  static constexpr unsigned kReads = kNothing;
  double c;
  template <class T>
  KDEF_HD T f(T x) const {
    return x + T(c);
  }
  template <class T>
  KDEF_HD T dx(T dy, T, T) const {
    return dy;
  }
};
struct Pow {  // y = x^c | dx = c x^(c-1) dy
  static constexpr unsigned kReads = kX;
  double c;
  template <class T>
  KDEF_HD T f(T x) const {
    return std::pow(x, T(c));
  }
  template <class T>
  KDEF_HD T dx(T dy, T x, T) const {
    return T(c) * std::pow(x, T(c) - T(1)) * dy;
  }
};
struct ClampMin {  // y = max(x, c) | dx = dy [x >= c]
  static constexpr unsigned kReads = kX;
  double c;
  template <class T>
  KDEF_HD T f(T x) const {
    return x < T(c) ? T(c) : x;
  }
  template <class T>
  KDEF_HD T dx(T dy, T x, T) const {
    return x < T(c) ? T(0) : dy;
  }
};
struct LeakyRelu {  // y = x where x > 0, else c x | dx = dy where x > 0, else c dy
  static constexpr unsigned kReads = kX;
  double c;
  template <class T>
  KDEF_HD T f(T x) const {
    return x > T(0) ? x : T(c) * x;  // NaN stays NaN
  }
  template <class T>
  KDEF_HD T dx(T dy, T x, T) const {
    return x > T(0) ? dy : T(c) * dy;
  }
};

// ---- of two tensors, with broadcasting

struct Add {  // y = a + b | da = dy, db = dy
  static constexpr unsigned kReadsDa = kNothing, kReadsDb = kNothing;
  template <class T>
  static KDEF_HD T f(T a, T b) {
    return a + b;
  }
  template <class T>
  static KDEF_HD T da(T dy, T, T, T) {
    return dy;
  }
  template <class T>
  static KDEF_HD T db(T dy, T, T, T) {
    return dy;
  }
};
struct Sub {  // y = a - b | da = dy, db = -dy
  static constexpr unsigned kReadsDa = kNothing, kReadsDb = kNothing;
  template <class T>
  static KDEF_HD T f(T a, T b) {
    return a - b;
  }
  template <class T>
  static KDEF_HD T da(T dy, T, T, T) {
    return dy;
  }
  template <class T>
  static KDEF_HD T db(T dy, T, T, T) {
    return -dy;
  }
};
struct Mul {  // y = a b | da = dy b, db = dy a
  static constexpr unsigned kReadsDa = kB, kReadsDb = kA;
  template <class T>
  static KDEF_HD T f(T a, T b) {
    return a * b;
  }
  template <class T>
  static KDEF_HD T da(T dy, T, T b, T) {
    return dy * b;
  }
  template <class T>
  static KDEF_HD T db(T dy, T a, T, T) {
    return dy * a;
  }
};
struct Div {  // y = a / b | da = dy / b, db = -dy y / b
  static constexpr unsigned kReadsDa = kB, kReadsDb = kB | kY;
  template <class T>
  static KDEF_HD T f(T a, T b) {
    return a / b;
  }
  template <class T>
  static KDEF_HD T da(T dy, T, T b, T) {
    return dy / b;
  }
  template <class T>
  static KDEF_HD T db(T dy, T, T b, T y) {
    return -dy * y / b;
  }
};
struct Atan2 {  // y = the angle of (b, a), in [-pi, pi] | da = dy b / (a^2 + b^2), db = -dy a / (a^2 + b^2), 0 at (0,
                // 0)
  static constexpr unsigned kReadsDa = kA | kB, kReadsDb = kA | kB;
  template <class T>
  static KDEF_HD T f(T a, T b) {
    return std::atan2(a, b);
  }
  template <class T>
  static KDEF_HD T da(T dy, T a, T b, T) {
    const T square = a * a + b * b;
    return square > T(0) ? dy * b / square : T(0);
  }
  template <class T>
  static KDEF_HD T db(T dy, T a, T b, T) {
    const T square = a * a + b * b;
    return square > T(0) ? -dy * a / square : T(0);
  }
};

}  // namespace kdef::ops

// The lists. Domain is the interval the gradient check draws from; it keeps away from `kink`, where the
// derivative jumps (NAN: no kink).
//   X(function, Functor, value, derivative, low, high, kink)
#define KDEF_UNARY_OPS(X)                                                               \
  X(neg, Neg, "y = -x", "dx = -dy", -2, 2, NAN)                                         \
  X(abs, Abs, "y = |x|", "dx = dy sign(x)", -2, 2, 0)                                   \
  X(exp, Exp, "y = e^x", "dx = dy y", -2, 2, NAN)                                       \
  X(log, Log, "y = ln x", "dx = dy / x", 0.2, 3, NAN)                                   \
  X(sqrt, Sqrt, "y = sqrt(x)", "dx = dy / (2 y)", 0.2, 3, NAN)                          \
  X(square, Square, "y = x^2", "dx = 2 x dy", -2, 2, NAN)                               \
  X(relu, Relu, "y = max(x, 0)", "dx = dy [x > 0]", -2, 2, 0)                           \
  X(sigmoid, Sigmoid, "y = 1 / (1 + e^-x)", "dx = dy y (1 - y)", -4, 4, NAN)            \
  X(tanh, Tanh, "y = tanh(x)", "dx = dy (1 - y^2)", -2, 2, NAN)                         \
  X(sin, Sin, "y = sin x", "dx = dy cos x", -4, 4, NAN)                                 \
  X(cos, Cos, "y = cos x", "dx = -dy sin x", -4, 4, NAN)                                \
  X(silu, Silu, "y = x s, s = 1 / (1 + e^-x)", "dx = dy s (1 + x (1 - s))", -4, 4, NAN) \
  X(gelu, Gelu, "y = x P, P = (1 + erf(x / sqrt 2)) / 2", "dx = dy (P + x e^(-x^2/2) / sqrt(2 pi))", -4, 4, NAN)

//   X(function, Functor, value, derivative, low, high, kink, c of the gradient check)
#define KDEF_SCALAR_OPS(X)                                                       \
  X(scale, Scale, "y = c x", "dx = c dy", -2, 2, NAN, -1.7)                      \
  X(shift, Shift, "y = x + c", "dx = dy", -2, 2, NAN, 0.6)                       \
  X(pow, Pow, "y = x^c", "dx = c x^(c-1) dy", 0.2, 3, NAN, 2.3)                  \
  X(clamp_min, ClampMin, "y = max(x, c)", "dx = dy [x >= c]", -2, 2, 0.25, 0.25) \
  X(leaky_relu, LeakyRelu, "y = x where x > 0, else c x", "dx = dy where x > 0, else c dy", -2, 2, 0, 0.01)

//   X(function, Functor, value, derivatives, low, high)
#define KDEF_BINARY_OPS(X)                                        \
  X(add, Add, "y = a + b", "da = dy, db = dy", -2, 2)             \
  X(sub, Sub, "y = a - b", "da = dy, db = -dy", -2, 2)            \
  X(mul, Mul, "y = a b", "da = dy b, db = dy a", -2, 2)           \
  X(div, Div, "y = a / b", "da = dy / b, db = -dy y / b", 0.3, 2) \
  X(atan2, Atan2, "y = the angle of (b, a)", "da = dy b / (a^2 + b^2), db = -dy a / (a^2 + b^2)", 0.3, 2)
