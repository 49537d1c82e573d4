// Layers of networks side by side against the networks one by one.
#include "ops/fused/stacked.h"

#include <gtest/gtest.h>

#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "tests/ops/rounded_gradient.h"
#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

constexpr int64_t kRows = 201, kNetworks = 3, kUnits = 13, kOut = 5;

Tensor parameter(const Shape& shape, uint64_t seed) { return random_uniform(shape, -1, 1, seed).set_requires_grad(); }

// The block of network m in x [B, M K].
Tensor block(const Tensor& x, int64_t m, int64_t width) { return slice(x, 1, m * width, width); }

std::vector<V> values_of(const std::vector<Tensor>& all) {
  std::vector<V> result;
  for (const Tensor& t : all) result.push_back(values(t));
  return result;
}

void expect_same(const std::vector<V>& have, const std::vector<V>& want) {
  ASSERT_EQ(have.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    SCOPED_TRACE(cat("result ", i));
    expect_near(have[i], want[i], 1e-12);
  }
}

TEST(Stacked, LinearIsThatOfEachNetwork) {
  for (const bool biased : {true, false}) {
    std::vector<V> results[2];
    for (const bool stacked : {true, false}) {
      const Tensor x = parameter({kRows, kNetworks * kUnits}, 1), weight = parameter({kNetworks, kOut, kUnits}, 2),
                   bias = parameter({kNetworks, kOut}, 3);
      Tensor z;
      if (stacked) {
        z = stacked_linear(x, weight, biased ? bias : Tensor());
      } else {
        std::vector<Tensor> each;
        for (int64_t m = 0; m < kNetworks; ++m) {
          each.push_back(linear(block(x, m, kUnits), reshape(slice(weight, 0, m, 1), {kOut, kUnits}),
                                biased ? reshape(slice(bias, 0, m, 1), {kOut}) : Tensor()));
        }
        z = concat(each, 1);
      }
      backward(z, random_uniform(z.shape(), -1, 1, 4));
      std::vector<Tensor> all{z, x.grad(), weight.grad()};
      if (biased) all.push_back(bias.grad());
      results[stacked] = values_of(all);
    }
    expect_same(results[1], results[0]);
  }
}

// Numbers by which the hidden layers of three networks are computed, each network's in tensors of its own.
struct Networks {
  Tensor x = parameter({kRows, kNetworks*kUnits}, 1), bias = parameter({kNetworks * kUnits}, 2),
         gamma = parameter({kNetworks * kUnits}, 3), beta = parameter({kNetworks * kUnits}, 4),
         weight = parameter({kNetworks, kUnits}, 5), output_bias = parameter({kNetworks}, 6);
  HiddenLayer layers{gamma, beta, {}, {}, true, 0.25, {}, bias};
  Networks() {
    for (uint64_t m = 0; m < kNetworks; ++m) {
      layers.running_mean.push_back(random_uniform({kUnits}, -1, 1, 10 + m));
      layers.running_var.push_back(random_uniform({kUnits}, 0.5, 2, 20 + m));
      layers.keys.push_back(dropout_key(3, m, 4));
    }
  }
  // The input and the hidden layer of one network: its input contains the bias.
  std::pair<Tensor, HiddenLayer> of(int64_t m) const {
    const size_t i = static_cast<size_t>(m);
    const auto part = [&](const Tensor& t) { return slice(t, 0, m * kUnits, kUnits); };
    const HiddenLayer layer{part(gamma), part(beta), {layers.running_mean[i]}, {layers.running_var[i]},
                            true,        layers.p,   {layers.keys[i]}};
    return {add(block(x, m, kUnits), part(bias)), layer};
  }
  // z, the gradients that are not 0 for any input, and the buffers.
  std::vector<V> results(const Tensor& z) const {
    backward(z, random_uniform(z.shape(), -1, 1, 7));
    std::vector<Tensor> all{
        z, x.grad(), gamma.grad(), beta.grad(), concat(layers.running_mean, 0), concat(layers.running_var, 0)};
    if (weight.grad().defined()) all.insert(all.end(), {weight.grad(), output_bias.grad()});
    for (const double v : values(bias.grad())) EXPECT_NEAR(v, 0, 1e-12) << "batch norm subtracts the bias";
    return values_of(all);
  }
};

TEST(Stacked, HiddenLayersAreThoseOfEachNetwork) {
  const Networks a, b;
  std::vector<Tensor> each;
  for (int64_t m = 0; m < kNetworks; ++m) {
    const auto [x, layer] = b.of(m);
    each.push_back(batch_norm_relu_dropout(x, layer));
  }
  expect_same(a.results(stacked_batch_norm_relu_dropout(a.x, a.layers)), b.results(concat(each, 1)));
}

TEST(Stacked, OutputsAreThoseOfEachNetwork) {
  const Networks a, b;
  std::vector<Tensor> each;
  for (int64_t m = 0; m < kNetworks; ++m) {
    const auto [x, layer] = b.of(m);
    each.push_back(linear(batch_norm_relu_dropout(x, layer), slice(b.weight, 0, m, 1), slice(b.output_bias, 0, m, 1)));
  }
  expect_same(a.results(stacked_output(a.x, a.layers, a.weight, a.output_bias)), b.results(concat(each, 1)));
}

TEST(Stacked, RefusesLayersThatDoNotFit) {
  const Networks n;
  const auto refused = [&](const std::function<void(HiddenLayer&)>& change) {
    HiddenLayer layers = n.layers;
    change(layers);
    EXPECT_THROW(stacked_batch_norm_relu_dropout(n.x, layers), Error);
  };
  refused([](HiddenLayer& l) { l.training = false; });
  refused([](HiddenLayer& l) { l.bias = {}; });
  refused([](HiddenLayer& l) { l.p = 1; });
  refused([](HiddenLayer& l) { l.keys.pop_back(); });
  refused([](HiddenLayer& l) { l.keys[1].seed = 4; });
  refused([](HiddenLayer& l) { l.keys[2].first_row = 1; });
  refused([](HiddenLayer& l) { l.running_var[1] = Tensor::zeros({2}, DType::f64); });
  EXPECT_THROW(batch_norm_relu_dropout(n.x, n.layers), Error) << "more than one layer";
}

}  // namespace
}  // namespace kdef::ops
