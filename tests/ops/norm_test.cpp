// Values of normalisation, and the fused hidden layer against its parts.
#include "ops/norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

TEST(Norm, BatchNormNormalisesAndMovesTheBuffers) {
  const Tensor x = t({1, 10, 3, 30, 5, 50}, {3, 2});
  Tensor mean = Tensor::zeros({2}, DType::f64), var = Tensor::full({2}, 1, DType::f64);
  const Tensor gamma = t({1, 2}, {2}), beta = t({0, 1}, {2});
  const V y = values(batch_norm(x, gamma, beta, mean, var));
  const double biased = 8.0 / 3;
  EXPECT_NEAR(y[0], -2 / std::sqrt(biased + 1e-5), 1e-12);
  EXPECT_NEAR(y[1], 2 * -20 / std::sqrt(100 * biased + 1e-5) + 1, 1e-12);
  expect_near(values(mean), {0.3, 3.0});
  expect_near(values(var), {0.9 + 0.1 * 4, 0.9 + 0.1 * 400});
  const V e = values(batch_norm_eval(x, gamma, beta, mean, var));
  EXPECT_NEAR(e[0], (1 - 0.3) / std::sqrt(1.3 + 1e-5), 1e-12);
  EXPECT_THROW(batch_norm(t({1, 2}, {1, 2}), gamma, beta, mean, var), Error);
}

TEST(Norm, FusedHiddenLayerAgreesWithItsParts) {
  for (const bool training : {true, false}) {
    for (const double p : {0.0, 0.25}) {
      const DropoutKey key = dropout_key(3, 1, 4);
      std::vector<V> results[2];
      for (const bool fused : {true, false}) {
        Tensor x = random_uniform({301, 13}, -2, 2, 1), gamma = random_uniform({13}, -1, 1, 2);
        Tensor beta = random_uniform({13}, -1, 1, 3);
        Tensor mean = random_uniform({13}, -1, 1, 4), var = random_uniform({13}, 0.5, 2, 5);
        for (Tensor* t : {&x, &gamma, &beta}) t->set_requires_grad();
        Tensor y;
        if (fused) {
          y = batch_norm_relu_dropout(x, {gamma, beta, {mean}, {var}, training, p, {key}});
        } else if (training) {
          y = dropout(relu(batch_norm(x, gamma, beta, mean, var)), p, key);
        } else {
          y = relu(batch_norm_eval(x, gamma, beta, mean, var));
        }
        backward(y, random_uniform(y.shape(), -1, 1, 6));
        results[fused] = {values(y),           values(x.grad()), values(gamma.grad()),
                          values(beta.grad()), values(mean),     values(var)};
      }
      for (size_t i = 0; i < results[0].size(); ++i) expect_near(results[1][i], results[0][i], 1e-12);
    }
  }
}

}  // namespace
}  // namespace kdef::ops
