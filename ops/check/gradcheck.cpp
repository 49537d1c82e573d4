#include "ops/check/gradcheck.h"

#include <algorithm>
#include <cmath>

#include "core/base/random.h"

namespace kdef::ops {

Tensor random_uniform(const Shape& shape, double low, double high, uint64_t seed, double kink) {
  Random random(seed, kStreamInit);
  Tensor t = Tensor::empty(shape, DType::f64);
  for (int64_t i = 0; i < t.numel(); ++i) {
    double v = low + (high - low) * random.uniform53();
    while (!std::isnan(kink) && std::abs(v - kink) < 0.05) v = low + (high - low) * random.uniform53();
    t.data<double>()[i] = v;
  }
  return t;
}

GradientReport check_leaves(const std::vector<Tensor>& leaves, const std::function<Tensor()>& f,
                            const std::function<Tensor()>& held, uint64_t seed) {
  for (const Tensor& x : leaves) x.clear_grad();
  const Tensor y = f();
  const Tensor cotangent = random_uniform(y.shape(), -1, 1, seed + 1000);
  backward(y, cotangent.to(y.device()));

  const auto objective = [&]() {
    NoGrad no_grad;
    const Tensor value = (held ? held() : f()).to(kCpu);
    double total = 0;
    for (int64_t i = 0; i < value.numel(); ++i) total += value.data<double>()[i] * cotangent.data<double>()[i];
    return total;
  };
  GradientReport report;
  for (size_t i = 0; i < leaves.size(); ++i) {
    const Tensor& x = leaves[i];
    const Tensor grad = x.grad();
    const std::vector<double> point = x.to_vector<double>(),
                              of_tape = grad.defined() ? grad.to_vector<double>() : std::vector<double>(point.size());
    const auto objective_at = [&](size_t e, double value) {
      memory_of(x.device()).copy(x.data<double>() + e, &value, sizeof value);
      return objective();
    };
    for (size_t e = 0; e < point.size(); ++e) {
      const double h = 1e-6 * std::max(1.0, std::abs(point[e]));
      const double above = objective_at(e, point[e] + h), below = objective_at(e, point[e] - h);
      memory_of(x.device()).copy(x.data<double>() + e, &point[e], sizeof point[e]);
      const double numeric = (above - below) / (2 * h), analytic = of_tape[e];
      const double scale = std::max({1.0, std::abs(numeric), std::abs(analytic)});
      double deviation = std::abs(analytic - numeric) / scale;
      if (std::isnan(deviation)) deviation = INFINITY;
      ++report.elements;
      if (report.elements == 1 || deviation > report.deviation) {
        report.deviation = deviation;
        report.worst = cat("input ", i, " element ", e, ": analytic ", analytic, ", numeric ", numeric);
      }
    }
  }
  return report;
}

GradientReport check_gradient(const GradientCase& c, uint64_t seed) {
  std::vector<Tensor> inputs, leaves;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    inputs.push_back(c.inputs[i].clone());
    if (std::find(c.constants.begin(), c.constants.end(), i) == c.constants.end()) {
      leaves.push_back(inputs.back().set_requires_grad());
    }
  }
  const auto held = [&] { return c.held(inputs); };
  return check_leaves(
      leaves, [&] { return c.function(inputs); }, c.held ? std::function<Tensor()>(held) : nullptr, seed);
}

}  // namespace kdef::ops
