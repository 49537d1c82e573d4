// Gradients that arrive in bf16: read as the numbers that they are, or widened where they are added.
#include "tests/ops/rounded_gradient.h"

#include <gtest/gtest.h>

#include <functional>

#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/fused/hidden_linear.h"
#include "ops/fused/stacked.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/reduce.h"
#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

// A gradient in bf16 is read by layers that accept it, by layers that need it widened, by sums with other gradients,
// and by leaves.
TEST(RoundedGradients, GradientsInBf16AreReadAsTheNumbersTheyAre) {
  using Parameters = std::vector<Tensor>;
  struct LayerCase {
    int64_t in, out;
    bool takes_rounded;
    std::function<Tensor(const Tensor&, const Parameters&)> f;
  };
  const auto hidden = [](const Tensor& x, const Parameters& p) {
    const Tensor mean = Tensor::zeros({40}), var = Tensor::full({40}, 1);
    return hidden_linear(x, {p[2], p[3], {mean}, {var}, true, 0.25, {dropout_key(1, 0, 0)}}, p[0], p[1]);
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
      // Other readers of the layer's result: 0: none; 1: an op whose gradient is rounded too; 2 and 3: an op whose
      // gradient is not rounded, called before or after.
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

TEST(RoundedGradients, GradientInBf16IsAddedToOneOfRows) {
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

}  // namespace
}  // namespace kdef::ops
