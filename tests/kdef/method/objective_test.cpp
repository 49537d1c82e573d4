#include "kdef/method/objective.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/parallel.h"
#include "ops/check/gradcheck.h"

namespace kdef {
namespace {

Tensor labels(int64_t rows) {
  Tensor y = Tensor::empty({rows, 1}, DType::f64);
  for (int64_t i = 0; i < rows; ++i) y.data<double>()[i] = i % 3 == 1;
  return y;
}

// The published formulas written out with plain loops.
double by_hand(const Tensor& z, const Tensor& y) {
  const int64_t n = z.shape()[0], m = z.shape()[1];
  const auto p = [&](int64_t b, int64_t k) { return 1 / (1 + std::exp(-z.data<double>()[b * m + k])); };
  std::vector<double> q(static_cast<size_t>(n)), s(static_cast<size_t>(m)), taught(s), label(s);
  for (int64_t b = 0; b < n; ++b) {
    double mean = 0;
    for (int64_t k = 0; k < m; ++k) mean += z.data<double>()[b * m + k] / static_cast<double>(m);
    q[static_cast<size_t>(b)] = 1 / (1 + std::exp(-mean));
  }
  for (int64_t k = 0; k < m; ++k) {
    for (int64_t b = 0; b < n; ++b) {
      const double yb = y.data<double>()[b], pb = p(b, k), d = pb - q[static_cast<size_t>(b)];
      const double share = 1.0 / static_cast<double>(n);
      label[static_cast<size_t>(k)] -= share * (yb * std::log(pb) + (1 - yb) * std::log(1 - pb));
      s[static_cast<size_t>(k)] += share * (1 - std::abs(yb - pb));
      taught[static_cast<size_t>(k)] += share * d * d;
    }
  }
  double loss = 0, total = 0;
  for (size_t k = 0; k < s.size(); ++k) {
    loss += label[k] / static_cast<double>(m);
    total += std::exp(-s[k]);
  }
  for (size_t k = 0; k < s.size(); ++k) loss += std::exp(-s[k]) / total * taught[k];
  for (int64_t i = 0; i < m && m > 1; ++i) {
    double sum = 0, weighted = 0;
    for (int64_t j = 0; j < m; ++j) {
      if (j == i) continue;
      double d = 0;
      for (int64_t b = 0; b < n; ++b) d += (p(b, i) - p(b, j)) * (p(b, i) - p(b, j)) / static_cast<double>(n);
      const double v = std::exp(s[static_cast<size_t>(j)] - s[static_cast<size_t>(i)]);
      sum += v;
      weighted += v * d;
    }
    loss += weighted / sum / static_cast<double>(m);
  }
  return loss;
}

TEST(Objective, IsThePublishedFormula) {
  for (const int64_t m : {1, 2, 3, 7}) {
    const Tensor z = ops::random_uniform({23, m}, -3, 3, 11), y = labels(23);
    EXPECT_NEAR(kdef_objective(z, y).item(), by_hand(z, y), 1e-14) << m;
    EXPECT_NEAR(kdef_objective_composed(z, y).item(), by_hand(z, y), 1e-14) << m;
  }
}

TEST(Objective, FusedAndComposedAgreeInValueAndGradient) {
  for (const int64_t m : {1, 2, 5, 24}) {
    for (const ObjectiveConfig config :
         {ObjectiveConfig{}, ObjectiveConfig{true, false, Examination::on},
          ObjectiveConfig{false, true, Examination::on}, ObjectiveConfig{true, true, Examination::equal},
          ObjectiveConfig{true, true, Examination::detached}}) {
      Tensor a = ops::random_uniform({1301, m}, -4, 4, 12), b = a.clone();
      const Tensor y = labels(1301);
      a.set_requires_grad();
      b.set_requires_grad();
      const Tensor fused = kdef_objective(a, y, config), composed = kdef_objective_composed(b, y, config);
      EXPECT_NEAR(fused.item(), composed.item(), 1e-13);
      backward(fused);
      backward(composed);
      for (int64_t i = 0; i < a.numel(); ++i) {
        ASSERT_NEAR(a.grad().data<double>()[i], b.grad().data<double>()[i], 1e-16) << m << " students, element " << i;
      }
    }
  }
}

// Weights 0, 1, 2, 3 in turn.
Tensor some_weights(int64_t rows) {
  Tensor w = Tensor::empty({rows, 1}, DType::f64);
  for (int64_t i = 0; i < rows; ++i) w.data<double>()[i] = static_cast<double>((i * 7 + 1) % 4);
  return w;
}

TEST(Objective, WeighsTheLabelLossAsRepeatedRowsAndNothingElse) {
  constexpr ObjectiveConfig kLabelOnly{false, false, Examination::on};
  const int64_t rows = 700;
  for (const int64_t m : {1, 3}) {
    Tensor z = ops::random_uniform({rows, m}, -3, 3, 11);
    const Tensor y = labels(rows), w = some_weights(rows);
    std::vector<double> repeated_z, repeated_y;
    for (int64_t b = 0; b < rows; ++b) {
      for (int copies = static_cast<int>(w.data<double>()[b]); copies > 0; --copies) {
        repeated_z.insert(repeated_z.end(), z.data<double>() + b * m, z.data<double>() + (b + 1) * m);
        repeated_y.push_back(y.data<double>()[b]);
      }
    }
    const int64_t count = static_cast<int64_t>(repeated_y.size());
    const Tensor twice = Tensor::from(repeated_z, {count, m}), its_y = Tensor::from(repeated_y, {count, 1});
    const double label = kdef_objective(twice, its_y, kLabelOnly).item();
    EXPECT_NEAR(kdef_objective(z, y, kLabelOnly, w).item(), label, 1e-13);
    const double others = kdef_objective(z, y).item() - kdef_objective(z, y, kLabelOnly).item();
    EXPECT_NEAR(kdef_objective(z, y, {}, w).item(), label + others, 1e-13);
    const Tensor zeros = Tensor::zeros({rows, 1}, DType::f64);
    EXPECT_NEAR(kdef_objective(z, y, {}, zeros).item(), others, 1e-13);
    EXPECT_NEAR(kdef_objective_composed(z, y, {}, zeros).item(), others, 1e-13);
  }
}

TEST(Objective, FusedAndComposedAgreeWithWeights) {
  for (const int64_t m : {1, 2, 5}) {
    Tensor a = ops::random_uniform({1301, m}, -4, 4, 12), b = a.clone();
    const Tensor y = labels(1301), w = some_weights(1301);
    a.set_requires_grad();
    b.set_requires_grad();
    const Tensor fused = kdef_objective(a, y, {}, w), composed = kdef_objective_composed(b, y, {}, w);
    EXPECT_NEAR(fused.item(), composed.item(), 1e-13);
    backward(fused);
    backward(composed);
    for (int64_t i = 0; i < a.numel(); ++i) {
      ASSERT_NEAR(a.grad().data<double>()[i], b.grad().data<double>()[i], 1e-16) << m << " students, element " << i;
    }
  }
}

TEST(Objective, WeightsOfOneChangeNoBit) {
  Tensor a = ops::random_uniform({1301, 3}, -4, 4, 12).to(DType::f32), b = a.clone();
  const Tensor y = labels(1301).to(DType::f32), ones = Tensor::full({1301, 1}, 1, DType::f32);
  a.set_requires_grad();
  b.set_requires_grad();
  const Tensor plain = kdef_objective(a, y), weighted = kdef_objective(b, y, {}, ones);
  EXPECT_EQ(plain.item(), weighted.item());
  backward(plain);
  backward(weighted);
  EXPECT_EQ(a.grad().to_vector<float>(), b.grad().to_vector<float>());
}

TEST(Objective, StaysFiniteWhereProbabilitiesSaturate) {
  Tensor z = Tensor::from<float>({200, -200, 90, -90, 0, 200}, {3, 2});
  z.set_requires_grad();
  const Tensor y = Tensor::from<float>({0, 1, 1}, {3, 1});
  const Tensor loss = kdef_objective(z, y);
  EXPECT_TRUE(std::isfinite(loss.item()));
  backward(loss);
  for (float g : z.grad().to_vector<float>()) EXPECT_TRUE(std::isfinite(g));
}

TEST(Objective, SameBitsForAnyNumberOfThreads) {
  std::vector<float> first;
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    Tensor z = ops::random_uniform({4001, 3}, -3, 3, 11).to(DType::f32);
    z.set_requires_grad();
    const Tensor loss = kdef_objective(z, labels(4001).to(DType::f32));
    backward(loss);
    std::vector<float> now = z.grad().to_vector<float>();
    now.push_back(static_cast<float>(loss.item()));
    if (first.empty()) first = now;
    EXPECT_EQ(now, first);
  }
}

TEST(Objective, RefusesShapesThatDoNotFit) {
  EXPECT_THROW(kdef_objective(Tensor::zeros({3, 2}), Tensor::zeros({3})), Error);
  EXPECT_THROW(kdef_objective(Tensor::zeros({0, 2}), Tensor::zeros({0, 1})), Error);
  EXPECT_THROW(kdef_objective(Tensor::zeros({3, 2}), Tensor::zeros({3, 1}), {}, Tensor::zeros({3})), Error);
}

}  // namespace
}  // namespace kdef
