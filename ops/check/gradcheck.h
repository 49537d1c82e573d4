// Gradients against central differences, in fp64.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/tensor/tape.h"

namespace kdef::ops {

/// Largest accepted deviation |analytic - numeric| / max(1, |analytic|, |numeric|). Central differences with
/// step 1e-6 max(1, |x|) err by about 1e-10 (truncation 1e-12, cancellation eps / h); a wrong term errs by
/// its own size.
inline constexpr double kGradientTolerance = 1e-7;

/// That deviation; infinite if it is undefined.
double deviation_of(double analytic, double numeric);

/// A function of tensors and the point at which its gradient is checked.
struct GradientCase {
  std::vector<Tensor> inputs;  // f64; all are checked unless listed in `constants`
  std::function<Tensor(const std::vector<Tensor>&)> function;
  std::vector<size_t> constants;  // inputs that get no gradient
  // The function whose differences are taken, if it is not `function` itself: `function` with every tensor under a
  // stop-gradient held at its value.
  std::function<Tensor(const std::vector<Tensor>&)> held = {};
};

struct GradientReport {
  double deviation = 0;  // the largest, as defined at kGradientTolerance
  int64_t elements = 0;  // how many partial derivatives were compared
  std::string worst;     // where it is: "input 1 element 7: analytic .., numeric .."
  bool passed() const { return deviation <= kGradientTolerance && elements > 0; }
};

/// Compares every partial derivative of sum(r * f(x)), where r is a fixed random cotangent. A plain sum would hide
/// transposed results and errors of softmax.
GradientReport check_gradient(const GradientCase& c, uint64_t seed = 1);

/// Compares the gradient of sum(r * f()) for every element of every leaf. The leaves are changed in place, as the
/// parameters of a module can be. Differences are taken of `held`, or of f if `held` is empty.
GradientReport check_leaves(const std::vector<Tensor>& leaves, const std::function<Tensor()>& f,
                            const std::function<Tensor()>& held = {}, uint64_t seed = 1);

/// The central differences of f() by every element of every leaf, in place: step 1e-6 max(1, |x|). NaN for an element
/// that SampledChecks leave out.
std::vector<std::vector<double>> differences(const std::vector<Tensor>& leaves, const std::function<double()>& f);

/// An op whose backward function is made wrong: what it passes to input `input` (the first is 0; -1: to every input)
/// gets the opposite sign.
struct BrokenOp {
  std::string name;
  int64_t input = -1;
};
/// Makes every node of that op behind y wrong, and returns how many there are.
int64_t break_gradient(const Tensor& y, const BrokenOp& op);

/// While it lives, the checks above do this in this thread to every tape that they make. A check whose tape has no such
/// node compares nothing: its report has 0 elements.
class GradientBreaker {
 public:
  explicit GradientBreaker(BrokenOp op);
  ~GradientBreaker();
  GradientBreaker(const GradientBreaker&) = delete;
  GradientBreaker& operator=(const GradientBreaker&) = delete;
  static const BrokenOp* current();

 private:
  BrokenOp op_;
  GradientBreaker* before_;
};

/// While it lives, the checks above compare every `every`-th partial derivative of a leaf alone, at least one of each,
/// in this thread. For a device that is emulated, where a forward takes long.
class SampledChecks {
 public:
  explicit SampledChecks(size_t every);
  ~SampledChecks();
  SampledChecks(const SampledChecks&) = delete;
  SampledChecks& operator=(const SampledChecks&) = delete;

 private:
  size_t before_;
};

/// Uniform f64 values for a case; `kink` keeps |x - kink| >= 0.05 (NAN: no kink).
Tensor random_uniform(const Shape& shape, double low, double high, uint64_t seed, double kink = __builtin_nan(""));

}  // namespace kdef::ops
