// Values of the ops against plain loops and known numbers; the gradient checks only tie derivatives to values.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <optional>

#include "core/base/parallel.h"
#include "ops/check/gradcheck.h"
#include "ops/device/vectors.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/fused/distinct.h"
#include "ops/fused/hidden_linear.h"
#include "ops/fused/stacked.h"
#include "ops/gemm/gemm.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/loss.h"
#include "ops/norm.h"
#include "ops/pairs.h"
#include "ops/reduce.h"
#include "ops/softmax.h"

namespace kdef::ops {
namespace {

using V = std::vector<double>;

Tensor t(const V& values, const Shape& shape) { return Tensor::from<double>(values, shape); }
V values(const Tensor& x) { return x.to_vector<double>(); }
void expect_near(const V& got, const V& want, double tolerance = 1e-14) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], tolerance) << "element " << i;
}

TEST(Values, Unary) {
  const Tensor x = t({-1.5, 0, 2}, {3});
  expect_near(values(neg(x)), {1.5, 0, -2});
  expect_near(values(abs(x)), {1.5, 0, 2});
  expect_near(values(exp(x)), {std::exp(-1.5), 1, std::exp(2.0)});
  expect_near(values(log(t({0.5, 3}, {2}))), {std::log(0.5), std::log(3.0)});
  expect_near(values(sqrt(t({4, 2}, {2}))), {2, std::sqrt(2.0)});
  expect_near(values(square(x)), {2.25, 0, 4});
  expect_near(values(relu(x)), {0, 0, 2});
  expect_near(values(sigmoid(x)), {1 / (1 + std::exp(1.5)), 0.5, 1 / (1 + std::exp(-2.0))});
  expect_near(values(tanh(x)), {std::tanh(-1.5), 0, std::tanh(2.0)});
  expect_near(values(scale(x, 3)), {-4.5, 0, 6});
  expect_near(values(shift(x, 3)), {1.5, 3, 5});
  expect_near(values(pow(t({4, 2}, {2}), 1.5)), {8, std::pow(2.0, 1.5)});
  expect_near(values(clamp_min(x, -1)), {-1, 0, 2});
  expect_near(values(leaky_relu(x, 0.01)), {-0.015, 0, 2});
  expect_near(values(silu(x)), {-1.5 / (1 + std::exp(1.5)), 0, 2 / (1 + std::exp(-2.0))});
  // Phi(-1.5) and Phi(2) of the normal distribution, from tables.
  expect_near(values(gelu(x)), {-1.5 * 0.06680720126885807, 0, 2 * 0.9772498680518208});
}

TEST(Values, ActivationsKeepTheirDigitsFarFromZero) {
  EXPECT_NEAR(values(gelu(t({-12}, {1})))[0] / -2.13177853449e-32, 1, 1e-9);  // -12 Phi(-12)
  const V y = values(silu(t({-800, 800}, {2})));
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], 800);
  for (const Tensor& nan : {silu(t({NAN}, {1})), gelu(t({NAN}, {1})), leaky_relu(t({NAN}, {1}), 0.01)}) {
    EXPECT_TRUE(std::isnan(nan.item()));
  }
}

TEST(Values, SigmoidIsExactAtBothEnds) {
  const V y = values(sigmoid(t({-800, -40, 40, 800}, {4})));
  EXPECT_EQ(y[0], 0);
  EXPECT_NEAR(y[1] / std::exp(-40.0), 1, 1e-12);
  EXPECT_NEAR(y[2], 1, 1e-15);
  EXPECT_EQ(y[3], 1);
}

TEST(Values, BinaryBroadcasts) {
  const Tensor a = t({1, 2, 3, 4, 5, 6}, {2, 1, 3}), b = t({10, 20}, {2, 1});
  const Tensor y = add(a, b);
  EXPECT_EQ(y.shape(), (Shape{2, 2, 3}));
  expect_near(values(y), {11, 12, 13, 21, 22, 23, 14, 15, 16, 24, 25, 26});
  expect_near(values(sub(a, Tensor::full({}, 1, DType::f64))), {0, 1, 2, 3, 4, 5});
  expect_near(values(mul(t({1, 2}, {2}), t({3, 4}, {2}))), {3, 8});
  expect_near(values(div(t({1, 2}, {2}), t({4}, {1}))), {0.25, 0.5});
  EXPECT_THROW(add(t({1, 2}, {2}), t({1, 2, 3}, {3})), Error);
  EXPECT_THROW(add(t({1}, {1}), Tensor::zeros({1})), Error);  // f64 and f32
}

TEST(Values, Reductions) {
  const Tensor x = t({1, 5, 2, 4, 3, 6}, {2, 3});
  expect_near(values(sum(x, 0)), {5, 8, 8});
  expect_near(values(sum(x, 1)), {8, 13});
  expect_near(values(mean(x, 1)), {8.0 / 3, 13.0 / 3});
  expect_near(values(max(x, 0)), {4, 5, 6});
  EXPECT_EQ(max(x, 1, true).shape(), (Shape{2, 1}));
  EXPECT_EQ(sum(x).item(), 21);
  EXPECT_EQ(mean(x).item(), 3.5);
  EXPECT_THROW(sum(x, 2), Error);
}

TEST(Values, SumDoesNotDependOnThreads) {
  Tensor x = random_uniform({5000, 7}, -1, 1, 3).to(DType::f32);
  std::vector<float> first;
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    const std::vector<float> y = sum(x, 0).to_vector<float>();
    if (first.empty()) first = y;
    EXPECT_EQ(y, first);
  }
}

TEST(Values, Layout) {
  const Tensor x = t({0, 1, 2, 3, 4, 5}, {2, 3});
  expect_near(values(transpose(x, 0, 1)), {0, 3, 1, 4, 2, 5});
  expect_near(values(concat({x, t({8, 9}, {2, 1})}, 1)), {0, 1, 2, 8, 3, 4, 5, 9});
  expect_near(values(stack({t({1, 2}, {2}), t({3, 4}, {2})}, 1)), {1, 3, 2, 4});
  expect_near(values(slice(x, 1, 1, 2)), {1, 2, 4, 5});
  const std::vector<Tensor> parts = split(x, 1, {1, 2});
  expect_near(values(parts[0]), {0, 3});
  EXPECT_THROW(split(x, 1, {1, 1}), Error);
  EXPECT_THROW(concat({x, t({1, 2}, {1, 2})}, 0), Error);
}

TEST(Values, UpperTriangleRowByRow) {
  expect_near(values(upper_triangle(t({0, 1, 2, 3, 4, 5, 6, 7, 8}, {1, 3, 3}))), {1, 2, 5});
  EXPECT_THROW(upper_triangle(t({1, 2}, {1, 1, 2})), Error);
}

TEST(Values, SoftmaxIsShiftInvariantAndDoesNotOverflow) {
  const V y = values(softmax(t({1000, 1001, 1002}, {3}), 0));
  const double e1 = std::exp(-1.0), e2 = std::exp(-2.0), total = 1 + e1 + e2;
  expect_near(y, {e2 / total, e1 / total, 1 / total});
  expect_near(values(softmin(t({1, 2}, {2}), 0)), {1 / (1 + e1), e1 / (1 + e1)});
}

TEST(Values, BatchNormNormalisesAndMovesTheBuffers) {
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

TEST(Values, FusedHiddenLayerAgreesWithItsParts) {
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
          y = batch_norm_relu_dropout(x, gamma, beta, mean, var, training, p, key);
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

bool has_bf16_products() {
  try {
    check_precision(GemmPrecision::bf16, kCpu);
    return true;
  } catch (const InputError&) {
    return false;
  }
}

std::vector<GemmPrecision> precisions_here() {
  std::vector<GemmPrecision> all = {GemmPrecision::f32};
  if (has_bf16_products()) all.push_back(GemmPrecision::bf16);
  return all;
}

// Rows of several groups and chunks, columns that are no multiple of a vector. In bf16 both round the same operands,
// but that the fused one rounds two more: dh, which waits, and dx.
TEST(Values, FusedHiddenLinearAgreesWithItsParts) {
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
          const Tensor z =
              fused ? hidden_linear(x, gamma, beta, mean, var, training, p, key, weight, bias)
                    : linear(batch_norm_relu_dropout(x, gamma, beta, mean, var, training, p, key), weight, bias);
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

TEST(Values, HiddenLinearHasTheSameBitsForAnyNumberOfThreads) {
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
      const Tensor z = hidden_linear(x, gamma, beta, mean, var, true, 0.2, dropout_key(1, 0, 0), weight, bias);
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

// x itself. Its gradient arrives rounded to bf16: as a tensor of that, or as one of f32.
const OpInfo kRoundedGradientInfo{"rounded_gradient", "y = x", "dx = dy rounded"};
Tensor rounded_gradient(const Tensor& x, DType type) {
  return record(kRoundedGradientInfo, x.detach(), {x}, {}, [=](const BackwardContext&, const Tensor& dy) {
    const Tensor dx = Tensor::empty(dy.shape(), DType::bf16);
    cpu::round_row(dy.data<float>(), dy.numel(), dx.data<BFloat16>());
    return std::vector<Gradient>{type == DType::bf16 ? dx : dx.to(type)};
  });
}
// x itself; notes the type of its gradient.
const OpInfo kWatchedInfo{"watched", "y = x", "dx = dy", true};
Tensor watched(const Tensor& x, DType& type) {
  return record(kWatchedInfo, x.detach(), {x}, {}, [&type](const BackwardContext&, const Tensor& dy) {
    type = dy.dtype();
    return std::vector<Gradient>{dy};
  });
}

// By layers that take it as it is, by those that do not, where it is added to others, and by leaves.
TEST(Values, GradientsInBf16AreReadAsTheNumbersTheyAre) {
  using Parameters = std::vector<Tensor>;
  struct LayerCase {
    int64_t in, out;
    bool takes_rounded;
    std::function<Tensor(const Tensor&, const Parameters&)> f;
  };
  const auto hidden = [](const Tensor& x, const Parameters& p) {
    const Tensor mean = Tensor::zeros({40}), var = Tensor::full({40}, 1);
    return hidden_linear(x, p[2], p[3], mean, var, true, 0.25, dropout_key(1, 0, 0), p[0], p[1]);
  };
  const auto draw = [](const Shape& shape, uint64_t seed) {
    return random_uniform(shape, -1, 1, seed).to(DType::f32).set_requires_grad();
  };
  const std::vector<LayerCase> cases = {
      {40, 40, false, [](const Tensor& x, const Parameters&) { return x; }},
      {40, 40, false, [](const Tensor& x, const Parameters&) { return relu(x); }},
      {40, 39, true, [](const Tensor& x, const Parameters& p) { return linear(x, p[0], p[1]); }},
      {80, 40, true,
       [](const Tensor& x, const Parameters& p) {
         return stacked_linear(x, reshape(p[0], {2, 20, 40}), reshape(p[1], {2, 20}));
       }},
      {40, 40, true, hidden},
      {40, 39, true, hidden},
      {40, 1, true, hidden}};
  for (const GemmPrecision precision : precisions_here()) {
    const PrecisionScope scope(precision);
    for (size_t i = 0; i < cases.size(); ++i) {
      const LayerCase& c = cases[i];
      // What else reads the layer's result: nothing; an op whose gradient is rounded too, or not, before or behind it.
      for (int others = 0; others < 4; ++others) {
        std::vector<V> results[2];
        for (const DType type : {DType::bf16, DType::f32}) {
          const Tensor x = draw({3000, c.in}, 1);
          const Parameters parameters = {draw({c.out, 40}, 2), draw({c.out}, 3), draw({40}, 4), draw({40}, 5)};
          const Tensor y = c.f(x, parameters), seed = draw(y.shape(), 6).detach();
          EXPECT_EQ(y.node() && y.node()->info->takes_rounded, c.takes_rounded);
          Tensor other = others == 2 ? neg(y) : Tensor();
          const Tensor z = rounded_gradient(y, type);
          if (others == 1) other = rounded_gradient(y, type);
          if (others == 3) other = neg(y);
          backward(other.defined() ? add(z, other) : z, seed);
          std::vector<V>& result = results[type == DType::bf16];
          result.push_back(values(x.grad().to(DType::f64)));
          for (const Tensor& p : parameters) {
            if (p.grad().defined()) result.push_back(values(p.grad().to(DType::f64)));
          }
        }
        EXPECT_EQ(results[0], results[1]) << "case " << i << ", others " << others;
      }
    }
  }
}

TEST(Values, GradientInBf16IsAddedToOneOfRows) {
  const Tensor ids = Tensor::from<int32_t>({2, 1, 2}, {3});
  for (const bool rows_first : {true, false}) {
    Tensor x = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {3, 2}).set_requires_grad();
    const Tensor table = linear(x, Tensor::from<float>({1, 0, 0, 1}, {2, 2}), {});
    // Gradients come in the reverse order of the uses.
    Tensor uses[2];
    for (const bool dense : {rows_first, !rows_first}) {
      uses[dense] = sum(dense ? rounded_gradient(table, DType::bf16) : embedding(table, ids, true));
    }
    backward(add(uses[0], uses[1]));
    EXPECT_EQ(x.grad().to_vector<float>(), (std::vector<float>{1, 1, 2, 2, 3, 3}));
  }
}

TEST(Values, HiddenLinearRoundsItsGradientForTheProductThatReadsIt) {
  if (!has_bf16_products()) GTEST_SKIP() << "no bf16 products here";
  for (const GemmPrecision precision : {GemmPrecision::f32, GemmPrecision::bf16}) {
    const PrecisionScope scope(precision);
    for (const int64_t out : {40, 1}) {
      const auto draw = [](const Shape& shape, uint64_t seed) {
        return random_uniform(shape, -1, 1, seed).to(DType::f32).set_requires_grad();
      };
      DType type = DType::i32;
      const Tensor x = draw({3000, 40}, 1);
      const Tensor z =
          hidden_linear(watched(x, type), draw({40}, 2), draw({40}, 3), Tensor::zeros({40}), Tensor::full({40}, 1),
                        true, 0.25, dropout_key(1, 0, 0), draw({out, 40}, 4), draw({out}, 5));
      backward(z, draw(z.shape(), 6).detach());
      EXPECT_EQ(type, precision == GemmPrecision::bf16 ? DType::bf16 : DType::f32);
      EXPECT_EQ(x.grad().dtype(), DType::f32) << "a leaf";
    }
  }
}

// Many fields, so that look-ups make several groups, some for combinations, and columns that are no multiple of a
// vector; one case of 8300 rows, which have more distinct ids than a group takes, and one of 24 columns: whole cache
// lines of fp64, but no whole vectors. The last have whole vectors alone, which are written past the caches; one leaves
// fields to the plain product.
struct DistinctCase {
  int64_t rows, columns, dim;
  std::vector<int32_t> sizes;
  int64_t most_ids = 1 << 20;
};
struct DistinctResult {
  V y, tables, weight, bias;
  bool operator==(const DistinctResult&) const = default;
};
// Numbers are drawn by `draw`(shape, seed). The gradient may come rounded, as rounded_gradient has it.
template <class Draw>
DistinctResult first_layer(const DistinctCase& c, bool distinct, DType type, Draw&& draw,
                           std::optional<DType> rounded = {}) {
  const int64_t fields = static_cast<int64_t>(c.sizes.size());
  std::vector<EmbedField> all;
  std::vector<Tensor> tables;
  std::vector<int64_t> sizes;
  Random random(7);
  std::vector<int32_t> ids(static_cast<size_t>(c.rows * fields));
  for (int64_t f = 0; f < fields; ++f) {
    const int32_t size = c.sizes[static_cast<size_t>(f)];
    all.push_back({EmbedField::Kind::id, static_cast<int>(f), f, 1});
    tables.push_back(draw({size, c.dim}, 10 + static_cast<uint64_t>(f)).to(type).set_requires_grad());
    sizes.push_back(size);
    for (int64_t b = 0; b < c.rows; ++b) {
      ids[static_cast<size_t>(b * fields + f)] = static_cast<int32_t>(random.below(static_cast<uint64_t>(size)));
    }
  }
  Tensor weight = draw({c.columns, fields * c.dim}, 1).to(type).set_requires_grad(),
         bias = draw({c.columns}, 2).to(type).set_requires_grad();
  const Tensor batch = Tensor::from(ids, {c.rows, fields});
  Tensor y;
  if (distinct) {
    const DistinctIds found = distinct_ids(batch, all, sizes, {1 << 20, c.most_ids, 64});
    EXPECT_LT(found.lookups.size(), found.fields.size()) << "nothing was combined";
    std::vector<EmbedField> others;
    for (size_t f = 0; f < all.size(); ++f) {
      if (std::find(found.fields.begin(), found.fields.end(), f) == found.fields.end()) others.push_back(all[f]);
    }
    EXPECT_EQ(others.empty(), c.most_ids >= c.rows);
    const int64_t left = static_cast<int64_t>(others.size()) * c.dim;
    const Tensor dense = left > 0 ? reshape(embed_fields(tables, batch, {}, others), {c.rows, left}) : Tensor();
    y = distinct_linear(embed_distinct(tables, all, found), dense, found, fields, weight, bias);
  } else {
    y = linear(reshape(embed_fields(tables, batch, {}, all), {c.rows, fields * c.dim}), weight, bias);
  }
  backward(rounded ? rounded_gradient(y, *rounded) : y, draw(y.shape(), 3).to(type));
  DistinctResult result{
      values(y.to(DType::f64)), {}, values(weight.grad().to(DType::f64)), values(bias.grad().to(DType::f64))};
  for (const Tensor& table : tables) {
    const V grad = values(table.grad().to(DType::f64));
    result.tables.insert(result.tables.end(), grad.begin(), grad.end());
  }
  return result;
}
const DistinctCase kHalfVector{90, 24, 16, {3, 4, 20}},
    kManyFields{600, 210, 16, {2, 3, 4, 5, 7, 9, 20, 40, 100, 150, 200, 300, 333, 390}},
    kManyIds{8300, 33, 20, {9000, 20000, 5, 6}}, kPairs{600, 186, 16, kManyFields.sizes},
    kWholeVectors{600, 208, 16, kManyFields.sizes}, kSomeFields{600, 208, 16, kManyFields.sizes, 300};
const std::vector<DistinctCase> kDistinctCases = {kHalfVector, kManyFields,   kManyIds,
                                                  kPairs,      kWholeVectors, kSomeFields};

Tensor whole_numbers(const Shape& shape, uint64_t seed) {
  Tensor x = random_uniform(shape, -1.5, 1.5, seed);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] = std::round(x.data<double>()[i]);
  return x;
}

TEST(Values, FirstLayerOnDistinctIdsAgreesWithThePlainOne) {
  const auto draw = [](const Shape& shape, uint64_t seed) { return random_uniform(shape, -1, 1, seed); };
  for (const DistinctCase& c : kDistinctCases) {
    EXPECT_TRUE(first_layer(c, true, DType::f32, whole_numbers) == first_layer(c, false, DType::f32, whole_numbers))
        << "sums of whole numbers are exact in any order; " << c.columns << " columns";
    const DistinctResult got = first_layer(c, true, DType::f64, draw), want = first_layer(c, false, DType::f64, draw);
    expect_near(got.y, want.y, 1e-12);
    expect_near(got.tables, want.tables, 1e-11);
    expect_near(got.weight, want.weight, 1e-11);
    expect_near(got.bias, want.bias, 1e-11);
  }
}

TEST(Values, FirstLayerOnDistinctIdsHasTheSameBitsForAnyNumberOfThreads) {
  const auto draw = [](const Shape& shape, uint64_t seed) { return random_uniform(shape, -1, 1, seed); };
  const int before = num_threads();
  for (const DType gradient : {DType::f32, DType::bf16}) {
    std::vector<DistinctResult> results;
    for (const int threads : {1, 2, 3, 5}) {
      set_num_threads(threads);
      results.push_back(first_layer(kManyFields, true, DType::f32, draw, gradient));
      EXPECT_TRUE(results.back() == results.front()) << threads << " threads";
    }
  }
  set_num_threads(before);
}

TEST(Values, FirstLayerOnDistinctIdsReadsAGradientInBf16) {
  const auto draw = [](const Shape& shape, uint64_t seed) { return random_uniform(shape, -1, 1, seed); };
  for (const GemmPrecision precision : precisions_here()) {
    const PrecisionScope scope(precision);
    for (const DistinctCase& c : kDistinctCases) {
      EXPECT_TRUE(first_layer(c, true, DType::f32, draw, DType::bf16) ==
                  first_layer(c, true, DType::f32, draw, DType::f32))
          << c.rows << " rows, " << c.columns << " columns";
    }
  }
}

// With whole numbers that bf16 holds, sums are exact in any order and rounding does nothing.
TEST(Values, FirstLayerOnDistinctIdsRoundsOperandsInBf16) {
#if !defined(__AVX512BF16__)
  GTEST_SKIP() << "built for processors without AVX512-BF16";
#endif
  if (!has_bf16_products()) GTEST_SKIP() << "no bf16 products here";
  const auto any = [](const Shape& shape, uint64_t seed) { return random_uniform(shape, -1, 1, seed); };
  const DistinctResult exact = first_layer(kManyFields, false, DType::f32, whole_numbers),
                       fp32 = first_layer(kManyFields, true, DType::f32, any);
  const PrecisionScope scope(GemmPrecision::bf16);
  EXPECT_TRUE(first_layer(kManyFields, true, DType::f32, whole_numbers) == exact);
  const DistinctResult rounded = first_layer(kManyFields, true, DType::f32, any);
  expect_near(rounded.y, fp32.y, 0.2);
  expect_near(rounded.tables, fp32.tables, 2.0);
  expect_near(rounded.weight, fp32.weight, 2.0);
  const auto differ = [](const V& a, const V& b) {
    int64_t count = 0;
    for (size_t i = 0; i < a.size(); ++i) count += std::abs(a[i] - b[i]) > 1e-4;
    return count;
  };
  EXPECT_GT(differ(rounded.y, fp32.y), 1000) << "nothing was rounded";
  EXPECT_GT(differ(rounded.tables, fp32.tables), 1000) << "nothing was rounded";
  EXPECT_GT(differ(rounded.weight, fp32.weight), 1000) << "nothing was rounded";
}

TEST(Values, HiddenLinearDoesWithoutBias) {
  const Tensor x = random_uniform({5, 3}, -1, 1, 1), ones = Tensor::full({3}, 1, DType::f64),
               zeros = Tensor::zeros({3}, DType::f64);
  Tensor weight = random_uniform({2, 3}, -1, 1, 2).set_requires_grad();
  const Tensor z = hidden_linear(x, ones, zeros, zeros.clone(), ones.clone(), false, 0.5, {}, weight, {});
  expect_near(values(z), values(linear(relu(batch_norm_eval(x, ones, zeros, zeros, ones)), weight, {})), 1e-14);
  backward(z, Tensor::full({5, 2}, 1, DType::f64));
  EXPECT_TRUE(weight.grad().defined());
  EXPECT_THROW(hidden_linear(x, ones, zeros, zeros, ones, false, 0, {}, Tensor::zeros({2, 4}, DType::f64), {}), Error);
  EXPECT_THROW(hidden_linear(Tensor::zeros({0, 3}, DType::f64), ones, zeros, zeros, ones, false, 0, {}, weight, {}),
               Error);
}

TEST(Values, DropoutBitsAreThoseOfPhilox) {
  const DropoutKey key = dropout_key(9, 3, 7);
  std::vector<uint16_t> buffer;
  for (int64_t first : {0, 1, 6, 1000003}) {
    const uint16_t* u = cpu::dropout_bits(key, first, 77, buffer);
    for (int64_t i = 0; i < 77; ++i) {
      const uint64_t at = static_cast<uint64_t>(first + i);
      const uint32_t word = Philox::block(key.seed, key.stream, at / 8)[at % 8 / 2];
      ASSERT_EQ(u[i], at % 2 ? word >> 16 : word & 0xFFFFu);
      ASSERT_EQ(u[i], dropout_bits(Philox::block(key.seed, key.stream, at / 8), static_cast<int>(at % 8)));
    }
  }
}

TEST(Values, Losses) {
  const Tensor p = t({0.9, 0.2, 0}, {3}), y = t({1, 0, 1}, {3});
  EXPECT_NEAR(binary_cross_entropy(p, y).item(), (-std::log(0.9) - std::log(0.8) + 100) / 3, 1e-12);
  const Tensor z = t({2, -1}, {2}), l = t({1, 0}, {2});
  EXPECT_NEAR(binary_cross_entropy_with_logits(z, l).item(), binary_cross_entropy(sigmoid(z), l).item(), 1e-14);
  EXPECT_NEAR(mean_squared_error(t({1, 2}, {2}), t({3, 5}, {2})).item(), 6.5, 1e-14);
}

TEST(Values, DropoutKeepsTheMeanAndTheMask) {
  const Tensor x = Tensor::full({200, 100}, 1, DType::f64);
  const V a = values(dropout(x, 0.3, dropout_key(1, 0, 5)));
  int64_t kept = 0;
  for (double v : a) {
    EXPECT_TRUE(v == 0 || std::abs(v - 1 / (1 - dropout_rate(0.3))) < 1e-12);
    kept += v != 0;
  }
  EXPECT_NEAR(static_cast<double>(kept) / 20000, 0.7, 0.015);
  EXPECT_NEAR(dropout_rate(0.3), 0.3, 1.0 / 131072);
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    EXPECT_EQ(values(dropout(x, 0.3, dropout_key(1, 0, 5))), a);
  }
  EXPECT_NE(values(dropout(x, 0.3, dropout_key(1, 0, 6))), a);
  EXPECT_NE(values(dropout(x, 0.3, dropout_key(1, 1, 5))), a);
  EXPECT_NE(values(dropout(x, 0.3, dropout_key(2, 0, 5))), a);
  EXPECT_THROW(dropout(x, 1.0, {}), Error);
}

TEST(Values, EmbeddingNamesAnIdThatIsOutside) {
  const Tensor table = Tensor::zeros({3, 2}, DType::f64);
  try {
    embedding(table, Tensor::from<int32_t>({1, 3}, {2}), true);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("id 3"), std::string::npos) << e.what();
  }
  EXPECT_THROW(embed_fields({table}, Tensor::from<int32_t>({-1}, {1, 1}), {}, {{}}), Error);
}

TEST(Values, PoolingIgnoresPadding) {
  const Tensor x = t({1, 2, 3, 4, 5, 6}, {1, 3, 2});
  const Tensor ids = Tensor::from<int32_t>({7, 0, 9}, {1, 3}), none = Tensor::from<int32_t>({0, 0, 0}, {1, 3});
  expect_near(values(pool_sequence(x, ids, PoolMode::average)), {3, 4});
  expect_near(values(pool_sequence(x, ids, PoolMode::sum)), {6, 8});
  expect_near(values(pool_sequence(x, none, PoolMode::average)), {0, 0});
}

// ---- GEMM

struct GemmShape {
  int64_t m, n, k;
};

class GemmAgrees : public testing::TestWithParam<GemmShape> {};

// The backend in use against the reference loop in fp64, for all transposes, with bias, accumulation and batches.
TEST_P(GemmAgrees, WithTheReference) {
  const auto [m, n, k] = GetParam();
  for (int variant = 0; variant < 32; ++variant) {
    Gemm g;
    g.m = m;
    g.n = n;
    g.k = k;
    g.transpose_a = variant & 1;
    g.transpose_b = variant & 2;
    g.accumulate = variant & 4;
    const bool with_bias = variant & 8;
    g.lda = g.transpose_a ? m : k;
    g.ldb = g.transpose_b ? k : n;
    g.ldc = n;
    g.batch = variant & 16 ? 2 : 1;
    g.stride_a = m * k;
    g.stride_b = 0;  // one B for all
    g.stride_c = m * n;
    const auto a = random_uniform({2 * m * k}, -1, 1, 1).to(DType::f32),
               b = random_uniform({k * n}, -1, 1, 2).to(DType::f32);
    if (k > 2000) {  // long sums: of whole numbers, which are exact in any order
      for (const Tensor& x : {a, b}) {
        for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = std::nearbyint(4 * x.data<float>()[i]);
      }
    }
    const auto bias = random_uniform({n}, -1, 1, 3).to(DType::f32);
    const Tensor a64 = a.to(DType::f64), b64 = b.to(DType::f64), bias64 = bias.to(DType::f64);
    const Tensor c = Tensor::full({2 * m * n}, 0.5), want = c.to(DType::f64);
    gemm<float>(kCpu, g, a.data<float>(), b.data<float>(), c.data<float>(), with_bias ? bias.data<float>() : nullptr);
    reference::gemm<double>(g, a64.data<double>(), b64.data<double>(), want.data<double>(),
                            with_bias ? bias64.data<double>() : nullptr);
    for (int64_t i = 0; i < c.numel(); ++i) {
      ASSERT_NEAR(c.data<float>()[i], want.data<double>()[i], 2e-6 * std::sqrt(static_cast<double>(k)) + 1e-6)
          << "variant " << variant << " element " << i;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Shapes, GemmAgrees,
                         testing::Values(GemmShape{1, 1, 1}, GemmShape{7, 5, 3}, GemmShape{1, 40, 130},
                                         GemmShape{130, 1, 40}, GemmShape{257, 300, 65}, GemmShape{1000, 64, 100},
                                         GemmShape{64, 900, 128}, GemmShape{40, 24, 2501}, GemmShape{1, 700, 3001},
                                         GemmShape{5000, 1, 410}));

// Against the product of rounded operands, whose sums are fp32 in another order. Shapes of panels of rows and of
// columns, and of groups of sums, transposed or not.
TEST(Gemm, Bf16RoundsOperandsAndSumsInFp32) {
  const GemmPrecision bf16 = parse_precision("bf16");
  if (!has_bf16_products()) GTEST_SKIP() << "no bf16 products here";
  const auto rounded = [](const Tensor& x) {
    Tensor y = x.clone();
    for (int64_t i = 0; i < y.numel(); ++i) {
      uint32_t u;
      std::memcpy(&u, y.data<float>() + i, 4);
      // To nearest: the two neighbours are u's upper half and the next one; ties go to the even one.
      const uint32_t low = u & 0xFFFF0000u, rest = u & 0xFFFFu;
      const bool up = rest > 0x8000u || (rest == 0x8000u && (low & 0x10000u));
      u = up ? low + 0x10000u : low;
      std::memcpy(y.data<float>() + i, &u, 4);
    }
    return y;
  };
  int differ = 0;
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{700, 90, 64}, {90, 700, 64}, {64, 48, 1000}, {64, 48, 2301}}) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        const Tensor a = random_uniform(ta ? Shape{k, m} : Shape{m, k}, -1, 1, 1).to(DType::f32);
        const Tensor b = random_uniform(tb ? Shape{n, k} : Shape{k, n}, -1, 1, 2).to(DType::f32);
        const Tensor expected = matmul(rounded(a).to(DType::f64), rounded(b).to(DType::f64), ta, tb);
        const Tensor exact = matmul(a.to(DType::f64), b.to(DType::f64), ta, tb);
        const PrecisionScope scope(bf16);
        const Tensor c = matmul(a, b, ta, tb);
        for (int64_t i = 0; i < c.numel(); ++i) {
          ASSERT_NEAR(c.data<float>()[i], expected.data<double>()[i], 2e-4) << m << " " << n << " " << k << ta << tb;
          differ += std::abs(c.data<float>()[i] - exact.data<double>()[i]) > 2e-3;
        }
      }
    }
  }
  EXPECT_GT(differ, 1000) << "nothing was rounded";
}

TEST(Gemm, BitsDoNotDependOnThreads) {
  for (const bool weight_gradient : {false, true}) {
    Gemm g;
    g.m = weight_gradient ? 400 : 1024;
    g.n = weight_gradient ? 112 : 400;
    g.k = weight_gradient ? 4096 : 112;
    g.transpose_a = weight_gradient;
    g.transpose_b = !weight_gradient;
    g.lda = g.transpose_a ? g.m : g.k;
    g.ldb = g.transpose_b ? g.k : g.n;
    g.ldc = g.n;
    const auto a = random_uniform({g.m * g.k}, -1, 1, 1).to(DType::f32),
               b = random_uniform({g.k * g.n}, -1, 1, 2).to(DType::f32);
    std::vector<float> first;
    for (int threads : {1, 2, 3, 4}) {
      set_num_threads(threads);
      Tensor c = Tensor::zeros({g.m * g.n});
      gemm<float>(kCpu, g, a.data<float>(), b.data<float>(), c.data<float>());
      if (first.empty()) first = c.to_vector<float>();
      EXPECT_EQ(c.to_vector<float>(), first) << threads << " threads";
    }
  }
}

TEST(Values, MatmulAndLinearCheckShapes) {
  const Tensor a = Tensor::zeros({2, 3}, DType::f64), b = Tensor::zeros({2, 4}, DType::f64);
  EXPECT_THROW(matmul(a, b), Error);
  EXPECT_EQ(matmul(a, b, true).shape(), (Shape{3, 4}));
  EXPECT_THROW(linear(a, b, {}), Error);
}

}  // namespace
}  // namespace kdef::ops
