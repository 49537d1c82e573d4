// The table of optimizers, and their update rules: scalar maths that every device runs.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <tuple>
#include <utility>

#include "core/base/hd.h"

namespace kdef::nn {

/// The optimizers: X(name, rule, rows of a table that a step updates, what it is). The type OptimizerKind, the names in
/// configurations and messages, the state tensors, the dispatch on both devices, the documentation and the tests follow
/// from this table. A rule that is not yet below also needs its composed twin in composed.cpp.
#define KDEF_OPTIMIZERS(X)                                                                                        \
  X(adam, AdamRule, every, "Adam over every row of every table at every step")                                    \
  X(lazy_adam, AdamRule, batch, "leaves table rows alone that are not in the batch: another algorithm than adam") \
  X(adamw, AdamWRule, every, "Adam with L2 as decoupled weight decay, w <- w - lr l2 w, outside of the gradient") \
  X(sgd, SgdRule, every, "stochastic gradient descent")                                                           \
  X(adagrad, AdagradRule, every, "Adagrad")

/// Adds l2/2 ||w||^2 + l1 ||w||_1 to the loss.
struct Regularizer {
  double l1 = 0, l2 = 0;
  bool operator==(const Regularizer&) const = default;
};

/// 1 - beta^t: corrects a running mean with decay beta that started at zero, after t values.
KDEF_HD double bias_correction(double beta, double t) { return 1 - pow(beta, t); }

/// The numbers of one step, from which its rules are made.
struct RuleStep {
  double learning_rate, beta1, beta2, eps;
  double correction1, correction2;  // bias_correction(beta1, t), bias_correction(beta2, t); t = 1 at the first step
};

/// The regularized gradient of one element: g + l2 w + l1 sign(w).
template <class T>
KDEF_HD T regularized(T g, T w, T l1, T l2) {
  return g + l2 * w + l1 * static_cast<T>((w > T(0)) - (w < T(0)));
}

// A rule for elements of type T has
//   kState                    the names of its state tensors; each has the parameter's shape and starts at zero
//   kAppliesL1, kAppliesL2    whether the rule applies this part of the regularizer itself; if not, the gradient that
//                             it receives contains this part
//   at(step, regularizer)     the rule of one step for one parameter
//   operator()(g, w, state..) the update of one element: g is its regularized and clipped gradient, w its value

/// m <- m + (1-b1)(g - m), v <- b2 v + (1-b2) g^2, w <- w - lr/(1-b1^t) m / (sqrt(v/(1-b2^t)) + eps)
/// (Kingma, Ba 2015, arXiv 1412.6980).
template <class T>
struct AdamRule {
  static constexpr std::array<const char*, 2> kState{"m", "v"};
  static constexpr bool kAppliesL1 = false, kAppliesL2 = false;
  T one_b1, b2, one_b2, eps, rate, root;  // 1 - b1, b2, 1 - b2, eps, lr / (1-b1^t), 1 / sqrt(1-b2^t)

  static KDEF_HD AdamRule at(const RuleStep& s, const Regularizer&) {
    return {static_cast<T>(1 - s.beta1),
            static_cast<T>(s.beta2),
            static_cast<T>(1 - s.beta2),
            static_cast<T>(s.eps),
            static_cast<T>(s.learning_rate / s.correction1),
            static_cast<T>(1 / sqrt(s.correction2))};
  }
  KDEF_HD void operator()(T g, T& w, T& m, T& v) const {
    m += one_b1 * (g - m);
    v = b2 * v + one_b2 * g * g;
    w -= rate * m / (std::sqrt(v) * root + eps);
  }
};

/// w <- w - lr l2 w, then Adam's update: l2 is a decoupled weight decay, and the gradient does not contain it
/// (Loshchilov, Hutter 2019, arXiv 1711.05101; torch.optim.AdamW).
template <class T>
struct AdamWRule {
  static constexpr std::array<const char*, 2> kState{"m", "v"};
  static constexpr bool kAppliesL1 = false, kAppliesL2 = true;
  AdamRule<T> adam;
  T kept;  // 1 - lr l2

  static KDEF_HD AdamWRule at(const RuleStep& s, const Regularizer& r) {
    return {AdamRule<T>::at(s, r), static_cast<T>(1 - s.learning_rate * r.l2)};
  }
  KDEF_HD void operator()(T g, T& w, T& m, T& v) const {
    w *= kept;
    adam(g, w, m, v);
  }
};

/// w <- w - lr g
template <class T>
struct SgdRule {
  static constexpr std::array<const char*, 0> kState{};
  static constexpr bool kAppliesL1 = false, kAppliesL2 = false;
  T rate;

  static KDEF_HD SgdRule at(const RuleStep& s, const Regularizer&) { return {static_cast<T>(s.learning_rate)}; }
  KDEF_HD void operator()(T g, T& w) const { w -= rate * g; }
};

/// v <- v + g^2, w <- w - lr g / (sqrt(v) + 1e-10) (Duchi, Hazan, Singer 2011).
template <class T>
struct AdagradRule {
  static constexpr std::array<const char*, 1> kState{"v"};
  static constexpr bool kAppliesL1 = false, kAppliesL2 = false;
  T rate;

  static KDEF_HD AdagradRule at(const RuleStep& s, const Regularizer&) { return {static_cast<T>(s.learning_rate)}; }
  KDEF_HD void operator()(T g, T& w, T& v) const {
    v += g * g;
    w -= rate * g / (std::sqrt(v) + T(1e-10));
  }
};

// ---- What follows from the table.

enum class OptimizerKind {
#define KDEF_KIND(name, ...) name,
  KDEF_OPTIMIZERS(KDEF_KIND)
#undef KDEF_KIND
};

/// Which rows of a table a step updates. Dense gradients and parameters that are no tables: always every element.
enum class UpdatedRows {
  every,
  batch,  // the rows that the batch's gradient has
};

/// A row of the table.
struct OptimizerEntry {
  OptimizerKind kind;
  const char* name;
  UpdatedRows rows;
  bool applies_l1, applies_l2;
  std::span<const char* const> state;
  const char* meaning;

  /// The part of a parameter's regularizer that is added to the gradient, and its value to the reported loss.
  constexpr Regularizer added(const Regularizer& r) const { return {applies_l1 ? 0 : r.l1, applies_l2 ? 0 : r.l2}; }
};

inline constexpr OptimizerEntry kOptimizers[] = {
#define KDEF_ENTRY(name, Rule, rows, meaning)                                                           \
  {OptimizerKind::name,  #name,  UpdatedRows::rows, Rule<double>::kAppliesL1, Rule<double>::kAppliesL2, \
   Rule<double>::kState, meaning},
    KDEF_OPTIMIZERS(KDEF_ENTRY)
#undef KDEF_ENTRY
};

inline constexpr const OptimizerEntry& entry_of(OptimizerKind kind) { return kOptimizers[static_cast<int>(kind)]; }

/// How many state tensors a rule has.
template <class Rule>
inline constexpr size_t kStateCount = std::tuple_size_v<std::remove_cvref_t<decltype(Rule::kState)>>;

/// The largest number of state tensors of any rule.
inline constexpr size_t kMaxState = std::max({
#define KDEF_COUNT(name, Rule, ...) kStateCount<Rule<double>>,
    KDEF_OPTIMIZERS(KDEF_COUNT)
#undef KDEF_COUNT
});

}  // namespace kdef::nn
