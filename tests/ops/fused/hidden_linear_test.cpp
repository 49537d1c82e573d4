// hidden_linear against its parts, and its bits.
#include "ops/fused/hidden_linear.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/parallel.h"
#include "ops/elementwise.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "tests/ops/rounded_gradient.h"
#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

// The rows make several groups and chunks, and the columns are no multiple of a vector. In bf16 both round the same
// operands; the fused op also rounds g, while it is held in dx, and dx.
TEST(HiddenLinear, FusedHiddenLinearAgreesWithItsParts) {
  struct Kind {
    DType type;
    GemmPrecision precision;
    double tolerance;
  };
  std::vector<Kind> kinds = {{DType::f64, GemmPrecision::f32, 1e-12}, {DType::f32, GemmPrecision::f32, 2e-5}};
  if (has_bf16_products()) kinds.push_back({DType::f32, GemmPrecision::bf16, 2e-4});
  for (const auto& [type, precision, tolerance] : kinds) {
    const PrecisionScope scope(precision);
    for (const int64_t out : {39, 1}) {
      for (const auto& [training, p] : {std::pair{true, 0.0}, {true, 0.25}, {false, 0.25}}) {
        std::vector<V> results[2];
        for (const bool fused : {true, false}) {
          auto source = [type = type, seed = uint64_t{0}](const Shape& shape, double low, double high) mutable {
            return random_uniform(shape, low, high, ++seed).to(type);
          };
          const auto input = [](Tensor t) { return t.set_requires_grad(); };
          const Tensor x = input(source({5701, 77}, -2, 2)), gamma = input(source({77}, -1, 1)),
                       beta = input(source({77}, -1, 1)), mean = source({77}, -1, 1), var = source({77}, 0.5, 2),
                       weight = input(source({out, 77}, -1, 1)), bias = input(source({out}, -1, 1));
          const DropoutKey key = dropout_key(3, 1, 4);
          const HiddenLayer layer{gamma, beta, {mean}, {var}, training, p, {key}};
          const Tensor z =
              fused ? hidden_linear(x, layer, weight, bias) : linear(batch_norm_relu_dropout(x, layer), weight, bias);
          backward(z, source(z.shape(), -0.01, 0.01));
          results[fused] = {};
          for (const Tensor& t : {z, x.grad(), gamma.grad(), beta.grad(), weight.grad(), bias.grad(), mean, var})
            results[fused].push_back(values(t.to(DType::f64)));
        }
        for (size_t i = 0; i < results[0].size(); ++i) {
          const bool rounded = i == 1 && precision == GemmPrecision::bf16;
          for (size_t k = 0; k < results[0][i].size(); ++k) {
            const double got = results[1][i][k], want = results[0][i][k];
            EXPECT_NEAR(got, want, tolerance + (rounded ? std::ldexp(std::abs(want), -8) : 0.0))
                << "result " << i << ", element " << k;
          }
        }
      }
    }
  }
}

TEST(HiddenLinear, HiddenLinearHasTheSameBitsForAnyNumberOfThreads) {
  const int before = num_threads();
  for (const auto& [out, precision] : {std::pair{64, GemmPrecision::f32},
                                       {64, GemmPrecision::bf16},
                                       {1, GemmPrecision::f32},
                                       {1, GemmPrecision::bf16}}) {
    if (precision == GemmPrecision::bf16 && !has_bf16_products()) continue;
    const PrecisionScope scope(precision);
    std::vector<V> first;
    for (const int threads : {1, 2, 3, 5}) {
      set_num_threads(threads);
      const auto draw = [](const Shape& shape, uint64_t seed) {
        return random_uniform(shape, -1, 1, seed).to(DType::f32).set_requires_grad();
      };
      const Tensor x = draw({2000, 96}, 1), gamma = draw({96}, 2), beta = draw({96}, 3), weight = draw({out, 96}, 4),
                   bias = draw({out}, 5), mean = Tensor::zeros({96}), var = Tensor::full({96}, 1);
      const Tensor z = hidden_linear(x, {gamma, beta, {mean}, {var}, true, 0.2, {dropout_key(1, 0, 0)}}, weight, bias);
      backward(z, random_uniform(z.shape(), -1, 1, 6).to(DType::f32));
      std::vector<V> results;
      for (const Tensor& t : {z, x.grad(), gamma.grad(), beta.grad(), weight.grad(), bias.grad()})
        results.push_back(values(t.to(DType::f64)));
      if (first.empty()) first = results;
      EXPECT_EQ(results, first) << threads << " threads, " << out << " outputs";
    }
  }
  set_num_threads(before);
}

TEST(HiddenLinear, HiddenLinearRoundsItsGradientForTheProductThatReadsIt) {
  if (!has_bf16_products()) GTEST_SKIP() << "no bf16 products here";
  for (const GemmPrecision precision : {GemmPrecision::f32, GemmPrecision::bf16}) {
    const PrecisionScope scope(precision);
    for (const int64_t out : {40, 1}) {
      const auto draw = [](const Shape& shape, uint64_t seed) {
        return random_uniform(shape, -1, 1, seed).to(DType::f32).set_requires_grad();
      };
      DType type = DType::i32;
      const Tensor x = draw({3000, 40}, 1);
      const HiddenLayer layer{draw({40}, 2), draw({40}, 3), {Tensor::zeros({40})}, {Tensor::full({40}, 1)},
                              true,          0.25,          {dropout_key(1, 0, 0)}};
      const Tensor z = hidden_linear(watched(x, type), layer, draw({out, 40}, 4), draw({out}, 5));
      backward(z, draw(z.shape(), 6).detach());
      EXPECT_EQ(type, precision == GemmPrecision::bf16 ? DType::bf16 : DType::f32);
      EXPECT_EQ(x.grad().dtype(), DType::f32) << "a leaf";
    }
  }
}

TEST(HiddenLinear, HiddenLinearDoesWithoutBias) {
  const Tensor x = random_uniform({5, 3}, -1, 1, 1), ones = Tensor::full({3}, 1, DType::f64),
               zeros = Tensor::zeros({3}, DType::f64);
  Tensor weight = random_uniform({2, 3}, -1, 1, 2).set_requires_grad();
  HiddenLayer layer{ones, zeros, {zeros.clone()}, {ones.clone()}, false, 0.5};
  const Tensor z = hidden_linear(x, layer, weight, {});
  expect_near(values(z), values(linear(relu(batch_norm_eval(x, ones, zeros, zeros, ones)), weight, {})), 1e-14);
  backward(z, Tensor::full({5, 2}, 1, DType::f64));
  EXPECT_TRUE(weight.grad().defined());
  EXPECT_THROW(hidden_linear(x, layer, Tensor::zeros({2, 4}, DType::f64), {}), Error);
  EXPECT_THROW(hidden_linear(Tensor::zeros({0, 3}, DType::f64), layer, weight, {}), Error);
  layer.bias = zeros;
  EXPECT_THROW(hidden_linear(x, layer, weight, {}), Error) << "a single layer has no bias of its own";
}

}  // namespace
}  // namespace kdef::ops
