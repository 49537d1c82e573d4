#include "ops/check/gradcheck.h"

#include <algorithm>
#include <cmath>

#include "core/base/random.h"
#include "ops/elementwise.h"

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

double deviation_of(double analytic, double numeric) {
  const double deviation = std::abs(analytic - numeric) / std::max({1.0, std::abs(numeric), std::abs(analytic)});
  return std::isnan(deviation) ? INFINITY : deviation;
}

namespace {

thread_local size_t t_every = 1;

// Whether an element of leaf number `leaf`, which has `elements`, is compared.
bool is_compared(size_t leaf, size_t element, size_t elements) {
  return element % t_every == leaf % std::min(t_every, elements);
}

}  // namespace

SampledChecks::SampledChecks(size_t every) : before_(t_every) { t_every = every; }
SampledChecks::~SampledChecks() { t_every = before_; }

std::vector<std::vector<double>> differences(const std::vector<Tensor>& leaves, const std::function<double()>& f) {
  std::vector<std::vector<double>> all;
  for (const Tensor& x : leaves) {
    const std::vector<double> point = x.to_vector<double>();
    const auto f_at = [&](size_t e, double value) {
      memory_of(x.device()).copy(x.data<double>() + e, &value, sizeof value);
      return f();
    };
    std::vector<double>& of_leaf = all.emplace_back();
    for (size_t e = 0; e < point.size(); ++e) {
      if (!is_compared(all.size() - 1, e, point.size())) {
        of_leaf.push_back(NAN);
        continue;
      }
      const double h = 1e-6 * std::max(1.0, std::abs(point[e]));
      const double above = f_at(e, point[e] + h), below = f_at(e, point[e] - h);
      memory_of(x.device()).copy(x.data<double>() + e, &point[e], sizeof point[e]);
      of_leaf.push_back((above - below) / (2 * h));
    }
  }
  return all;
}

GradientReport check_leaves(const std::vector<Tensor>& leaves, const std::function<Tensor()>& f,
                            const std::function<Tensor()>& held, uint64_t seed) {
  for (const Tensor& x : leaves) x.clear_grad();
  const Tensor y = f();
  GradientReport report;
  if (GradientBreaker::current() && break_gradient(y, *GradientBreaker::current()) == 0) return report;
  const Tensor cotangent = random_uniform(y.shape(), -1, 1, seed + 1000);
  backward(y, cotangent.to(y.device()));

  const auto objective = [&]() {
    NoGrad no_grad;
    const Tensor value = (held ? held() : f()).to(kCpu);
    double total = 0;
    for (int64_t i = 0; i < value.numel(); ++i) total += value.data<double>()[i] * cotangent.data<double>()[i];
    return total;
  };
  const std::vector<std::vector<double>> of_differences = differences(leaves, objective);
  for (size_t i = 0; i < leaves.size(); ++i) {
    const Tensor grad = leaves[i].grad();
    const std::vector<double> of_tape =
        grad.defined() ? grad.to_vector<double>() : std::vector<double>(of_differences[i].size());
    for (size_t e = 0; e < of_tape.size(); ++e) {
      if (!is_compared(i, e, of_tape.size())) continue;
      const double numeric = of_differences[i][e], analytic = of_tape[e];
      const double deviation = deviation_of(analytic, numeric);
      ++report.elements;
      if (report.elements == 1 || deviation > report.deviation) {
        report.deviation = deviation;
        report.worst = cat("input ", i, " element ", e, ": analytic ", analytic, ", numeric ", numeric);
      }
    }
  }
  return report;
}

namespace {

thread_local GradientBreaker* t_breaker = nullptr;

Gradient negated(const Gradient& g) {
  Gradient out;
  if (g.dense_part().defined()) out.add(neg(g.dense_part()));
  for (const RowGradient& rows : g.row_parts()) out.add(RowGradient{rows.ids, neg(rows.values)});
  return out;
}

}  // namespace

int64_t break_gradient(const Tensor& y, const BrokenOp& op) {
  int64_t count = 0;
  for (Node* node : nodes_behind(y)) {
    if (node->info->name != op.name || op.input >= static_cast<int64_t>(node->inputs.size())) continue;
    ++count;
    node->backward = [right = node->backward, input = op.input](const BackwardContext& c, const Tensor& dy) {
      std::vector<Gradient> grads = right(c, dy);
      for (size_t i = 0; i < grads.size(); ++i) {
        if (input < 0 || static_cast<size_t>(input) == i) grads[i] = negated(grads[i]);
      }
      return grads;
    };
  }
  return count;
}

GradientBreaker::GradientBreaker(BrokenOp op) : op_(std::move(op)), before_(t_breaker) { t_breaker = this; }
GradientBreaker::~GradientBreaker() { t_breaker = before_; }
const BrokenOp* GradientBreaker::current() { return t_breaker ? &t_breaker->op_ : nullptr; }

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
