#include "nn/teaching.h"

#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/reduce.h"

namespace kdef::nn {

// sum over k of term(z_k).
template <class Term>
static Tensor sum_of(const Tensor& z, Term term) {
  Tensor sum;
  for (int64_t k = 0; k < z.shape()[1]; ++k) {
    const Tensor one = term(ops::slice(z, 1, k, 1));
    sum = sum.defined() ? ops::add(sum, one) : one;
  }
  return sum;
}

Tensor logit_of_mean_probability(const Tensor& z) {
  if (z.shape()[1] == 1) return z;
  // 1 - p from sigmoid(-z): its digits would be lost for p near 1.
  const Tensor p = ops::mean(ops::sigmoid(z), 1, true), q = ops::mean(ops::sigmoid(ops::neg(z)), 1, true);
  return ops::sub(ops::log(p), ops::log(q));
}

Tensor loss_of_taught(const Tensor& z, const Tensor& t, const TaskFunctions& task) {
  return sum_of(z, [&, held = t.detach()](const Tensor& one) { return task.loss(one, held); });
}

Tensor loss_of_worse(const Tensor& z, const Tensor& of_mean, const Tensor& y, const TaskFunctions& task) {
  return sum_of(z, [&](const Tensor& one) {
    const Tensor loss = task.loss(one, y);
    return ops::mul(ops::relu(ops::sub(loss, of_mean)), loss);
  });
}

}  // namespace kdef::nn
