// The members of a group, each with some rows of a batch, against one process with the whole batch.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "core/tensor/collectives.h"
#include "core/tensor/tape.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/fused/hidden_linear.h"
#include "ops/fused/stacked.h"
#include "ops/linear.h"
#include "ops/loss.h"
#include "ops/norm.h"
#include "tests/ops/values.h"
#include "tests/support/thread_group.h"

namespace kdef::test {

/// A loss of a batch, in f64.
struct BatchProblem {
  std::vector<Tensor> rows;        // the leading axis is the batch; the first tensor gets a gradient
  std::vector<Tensor> parameters;  // get gradients
  std::vector<Tensor> buffers;     // may change
  /// The loss of the rows in the problem, which are those of the batch from `first_row` on.
  std::function<Tensor(const BatchProblem&, int64_t first_row)> loss;

  int64_t size() const { return rows[0].shape()[0]; }
};

/// What is computed of some rows of a batch: the loss times 3, its gradients, and what the buffers are afterwards.
struct BatchOutcome {
  Tensor loss, of_rows;
  std::vector<Tensor> of_parameters, buffers;
};

inline BatchOutcome outcome(const BatchProblem& whole, int64_t first, int64_t count, Device device) {
  BatchProblem mine{{}, {}, {}, whole.loss};
  for (const Tensor& t : whole.rows) mine.rows.push_back(t.rows(first, count).clone().to(device));
  for (const Tensor& t : whole.parameters) mine.parameters.push_back(t.clone().to(device).set_requires_grad());
  for (const Tensor& t : whole.buffers) mine.buffers.push_back(t.clone().to(device));
  mine.rows[0].set_requires_grad();
  const Tensor loss = mine.loss(mine, first);
  backward(loss, Tensor::full({}, 3, DType::f64, device));
  BatchOutcome all{loss.to(kCpu), mine.rows[0].grad().to(kCpu), {}, {}};
  for (const Tensor& t : mine.parameters) all.of_parameters.push_back(t.grad().to(kCpu));
  for (const Tensor& t : mine.buffers) all.buffers.push_back(t.to(kCpu));
  return all;
}

inline void expect_close(const Tensor& have, const Tensor& want, const char* what) {
  const std::vector<double> a = have.to_vector<double>(), b = want.to_vector<double>();
  ASSERT_EQ(a.size(), b.size()) << what;
  double largest = 0;
  for (const double v : b) largest = std::max(largest, std::abs(v));
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], 1e-12 * largest + 1e-15) << what << ", element " << i << " of " << a.size();
  }
}

/// Member r computes sizes[r] rows. Every member must get the loss and the buffers of one process with the whole batch,
/// and the gradient of its rows; the gradients of the parameters must add up.
inline void expect_whole_batch(const BatchProblem& problem, const std::vector<int64_t>& sizes, Device device = kCpu) {
  const BatchOutcome want = outcome(problem, 0, problem.size(), device);
  ThreadGroup(static_cast<int>(sizes.size())).run([&](Group& group) {
    int64_t first = 0;
    for (int r = 0; r < group.rank(); ++r) first += sizes[static_cast<size_t>(r)];
    const int64_t count = sizes[static_cast<size_t>(group.rank())];
    const BatchOutcome have = outcome(problem, first, count, device);
    for (const Tensor& t : have.of_parameters) all_reduce(group, t);
    expect_close(have.loss, want.loss, "loss");
    expect_close(have.of_rows, want.of_rows.rows(first, count), "gradient of rows");
    for (size_t i = 0; i < want.of_parameters.size(); ++i) {
      expect_close(have.of_parameters[i], want.of_parameters[i], "gradient of a parameter");
    }
    for (size_t i = 0; i < want.buffers.size(); ++i) expect_close(have.buffers[i], want.buffers[i], "buffer");
  });
  // The test can fail: a member that does not know of the others has another loss.
  const BatchOutcome alone = outcome(problem, 0, problem.size() - 1, device);
  EXPECT_GT(std::abs(alone.loss.item() - want.loss.item()), 1e-6);
}

enum class HiddenOps { composed, fused, with_product, side_by_side };

/// A hidden layer of 13 columns with dropout 0.25, a product with `out` outputs and a weighted label loss of their sum.
/// Side by side: two such layers, each with one output.
inline BatchProblem hidden_problem(HiddenOps kind, bool training, int64_t out, int64_t batch) {
  using namespace ops;  // NOLINT: the formulas below read as such
  const int64_t networks = kind == HiddenOps::side_by_side ? 2 : 1, units = 13, c = networks * units;
  BatchProblem p;
  p.rows = {random_uniform({batch, c}, -1, 3, 1), random_uniform({batch, 1}, 0, 1, 2),
            random_uniform({batch, 1}, 0, 2, 3)};
  p.parameters = {random_uniform({c}, 0.5, 2, 4), random_uniform({c}, -1, 1, 5),
                  random_uniform({networks == 1 ? out : networks, units}, -1, 1, 6),
                  random_uniform({networks == 1 ? out : networks}, -1, 1, 7)};
  if (networks > 1) p.parameters.push_back(random_uniform({c}, -1, 1, 8));
  for (int64_t m = 0; m < networks; ++m) {
    const uint64_t seed = 10 + 2 * static_cast<uint64_t>(m);
    p.buffers.push_back(random_uniform({units}, -1, 1, seed));
    p.buffers.push_back(random_uniform({units}, 0.5, 2, seed + 1));
  }
  p.loss = [=](const BatchProblem& in, int64_t first_row) {
    HiddenLayer layer{in.parameters[0], in.parameters[1], {}, {}, training, 0.25, {}};
    for (int64_t m = 0; m < networks; ++m) {
      layer.running_mean.push_back(in.buffers[static_cast<size_t>(2 * m)]);
      layer.running_var.push_back(in.buffers[static_cast<size_t>(2 * m + 1)]);
      layer.keys.push_back(dropout_key(5, static_cast<uint64_t>(m), 9));
      layer.keys.back().first_row = first_row;
    }
    if (networks > 1) layer.bias = in.parameters[4];
    const Tensor &x = in.rows[0], &weight = in.parameters[2], &bias = in.parameters[3];
    const Tensor z = [&] {
      switch (kind) {
        case HiddenOps::fused:
          return linear(batch_norm_relu_dropout(x, layer), weight, bias);
        case HiddenOps::with_product:
          return hidden_linear(x, layer, weight, bias);
        case HiddenOps::side_by_side:
          return stacked_output(x, layer, weight, bias);
        case HiddenOps::composed:
          break;
      }
      const Tensor &mean = layer.running_mean[0], &var = layer.running_var[0];
      const Tensor h = training ? batch_norm(x, layer.gamma, layer.beta, mean, var)
                                : batch_norm_eval(x, layer.gamma, layer.beta, mean, var);
      return linear(training ? dropout(relu(h), layer.p, layer.keys[0]) : relu(h), weight, bias);
    }();
    const Tensor labels = add(in.rows[1], Tensor::zeros(z.shape(), z.dtype(), z.device()));
    return binary_cross_entropy(sigmoid(z), labels, in.rows[2]);
  };
  return p;
}

}  // namespace kdef::test
