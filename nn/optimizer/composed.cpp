// The readable twin of an optimizer's step: every rule written with ops on dense gradients.
#include <cmath>

#include "nn/optimizer/optimizer.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

using namespace ops;  // NOLINT: the formulas below are written as functions of tensors

// What a rule's twin reads, beside the parameter's value and state.
struct Given {
  OptimizerConfig config;
  double t = 0;  // the number of the step, from 1
  Regularizer regularizer;
  Tensor gradient;  // regularized and clipped
};

// The new value of a parameter of value w; sets the new state. Every rule in rules.h has a specialization: without one
// the table of optimizers does not compile.
template <template <class> class Rule>
Tensor composed(const Given& given, const Tensor& w, std::vector<Tensor>& state) = delete;

template <>
Tensor composed<AdamRule>(const Given& given, const Tensor& w, std::vector<Tensor>& state) {
  const OptimizerConfig& c = given.config;
  const Tensor& g = given.gradient;
  state[0] = add(scale(state[0], c.beta1), scale(g, 1 - c.beta1));
  state[1] = add(scale(state[1], c.beta2), scale(square(g), 1 - c.beta2));
  const Tensor m_hat = scale(state[0], 1 / (1 - std::pow(c.beta1, given.t)));
  const Tensor v_hat = scale(state[1], 1 / (1 - std::pow(c.beta2, given.t)));
  return sub(w, scale(div(m_hat, shift(sqrt(v_hat), c.eps)), c.learning_rate));
}

template <>
Tensor composed<AdamWRule>(const Given& given, const Tensor& w, std::vector<Tensor>& state) {
  const Tensor decay = scale(w, given.config.learning_rate * given.regularizer.l2);
  return composed<AdamRule>(given, sub(w, decay), state);
}

template <>
Tensor composed<SgdRule>(const Given& given, const Tensor& w, std::vector<Tensor>&) {
  return sub(w, scale(given.gradient, given.config.learning_rate));
}

template <>
Tensor composed<AdagradRule>(const Given& given, const Tensor& w, std::vector<Tensor>& state) {
  state[0] = add(state[0], square(given.gradient));
  return sub(w, scale(div(given.gradient, shift(sqrt(state[0]), 1e-10)), given.config.learning_rate));
}

Tensor composed(const Given& given, const Tensor& w, std::vector<Tensor>& state) {
  switch (given.config.kind) {
#define KDEF_CASE(name, Rule, ...) \
  case OptimizerKind::name:        \
    return composed<Rule>(given, w, state);
    KDEF_OPTIMIZERS(KDEF_CASE)
#undef KDEF_CASE
  }
  throw Error("composed_step: the optimizer is not in the table");
}

// 1 for each element of the parameter that the step visits and 0 for the others, in a shape that broadcasts to the
// parameter's; undefined where the step visits all elements.
Tensor visited(const OptimizerSlot& slot) {
  const Tensor& w = slot.parameter.tensor;
  const Gradient& g = w.gradient();
  if (!slot.only_rows || g.dense_part().defined()) return {};
  Tensor mask = Tensor::zeros({w.shape()[0], 1}, w.dtype());
  for (const RowGradient& part : g.row_parts()) {
    for (const int64_t id : part.ids.to(kCpu).to_vector<int64_t>()) {
      if (id != kNoRow) mask.rows(id, 1).fill(1);
    }
  }
  return mask.to(w.device());
}

// `changed` where the mask is 1, `before` where it is 0.
Tensor choose(const Tensor& mask, const Tensor& changed, const Tensor& before) {
  if (!mask.defined()) return changed;
  return add(mul(mask, changed), mul(shift(scale(mask, -1), 1), before));
}

}  // namespace

StepRecord composed_step(Optimizer& optimizer) {
  NoGrad no_grad;
  StepRecord report;
  std::vector<Tensor> grads, masks;
  double squares = 0;
  for (const OptimizerSlot& slot : optimizer.slots_) {
    masks.push_back(visited(slot));
    const Tensor whole = slot.parameter.tensor.detach();
    const Tensor w = masks.back().defined() ? mul(whole, masks.back()) : whole;
    Tensor g = slot.parameter.tensor.grad();
    if (!g.defined()) g = Tensor::zeros(w.shape(), w.dtype(), w.device());
    const Tensor magnitude = abs(w);
    // The derivative of |w| is w / |w|, and 0 at 0.
    const Tensor direction = div(w, clamp_min(magnitude, 1e-30));
    g = add(g, add(scale(w, slot.added.l2), scale(direction, slot.added.l1)));
    report.regularization += 0.5 * slot.added.l2 * sum(square(w)).item() + slot.added.l1 * sum(magnitude).item();
    squares += sum(square(g)).item();
    grads.push_back(g);
  }
  report.gradient_norm = std::sqrt(squares);
  const double factor = optimizer.clip_factor(report.gradient_norm);
  optimizer.set_steps(optimizer.steps() + 1);
  report.applied = true;
  for (size_t i = 0; i < grads.size(); ++i) {
    OptimizerSlot& slot = optimizer.slots_[i];
    const Given given{optimizer.config_, static_cast<double>(optimizer.steps()), slot.regularizer,
                      scale(grads[i], factor)};
    const Tensor before = slot.parameter.tensor.detach();
    std::vector<Tensor> state = slot.state;
    const Tensor after = composed(given, before, state);
    for (size_t s = 0; s < state.size(); ++s) slot.state[s].copy_from(choose(masks[i], state[s], slot.state[s]));
    slot.parameter.tensor.copy_from(choose(masks[i], after, before));
    slot.parameter.tensor.clear_grad();
  }
  return report;
}

}  // namespace kdef::nn
