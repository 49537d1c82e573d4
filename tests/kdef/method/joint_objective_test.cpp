// The objectives of kdef/method/joint_objective.h against their formulas, computed by hand.
#include "kdef/method/joint_objective.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/base/parallel.h"
#include "core/base/random.h"
#include "kdef/method/ensembles.h"

namespace kdef {
namespace {

const EnsembleKind kJoint[] = {EnsembleKind::final, EnsembleKind::self_ensemble, EnsembleKind::tri_bce};

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }
double cross_entropy(double p, double y) { return -(y * std::log(p) + (1 - y) * std::log(1 - p)); }

Tensor labels(int64_t rows) {
  Tensor y = Tensor::empty({rows, 1}, DType::f64);
  for (int64_t i = 0; i < rows; ++i) y.data<double>()[i] = i % 3 == 1;
  return y;
}

Tensor logits(int64_t rows, int64_t m, double size = 3) {
  Tensor z = Tensor::empty({rows, m}, DType::f64);
  Random random(5);
  for (int64_t i = 0; i < z.numel(); ++i) z.data<double>()[i] = size * random.normal();
  return z;
}

double by_hand(EnsembleKind kind, const Tensor& z, const Tensor& y, const std::vector<double>& weights) {
  const int64_t rows = z.shape()[0], m = z.shape()[1];
  double mean = 0, weight = 0;
  std::vector<double> student(static_cast<size_t>(m));
  for (int64_t b = 0; b < rows; ++b) {
    double logit = 0, probability = 0;
    for (int64_t k = 0; k < m; ++k) {
      logit += z.data<double>()[b * m + k] / static_cast<double>(m);
      probability += sigmoid(z.data<double>()[b * m + k]) / static_cast<double>(m);
    }
    const double q = kind == EnsembleKind::self_ensemble ? probability : sigmoid(logit),
                 w = weights[static_cast<size_t>(b)];
    weight += w;
    mean += w * cross_entropy(q, y.data<double>()[b]);
    for (int64_t k = 0; k < m; ++k) {
      const double target = kind == EnsembleKind::tri_bce ? y.data<double>()[b] : q;
      student[static_cast<size_t>(k)] += w * cross_entropy(sigmoid(z.data<double>()[b * m + k]), target);
    }
  }
  double loss = mean / weight;
  for (const double sum : student) {
    const double of = sum / weight;
    loss += kind == EnsembleKind::tri_bce ? std::max(of - mean / weight, 0.0) * of : of;
  }
  return loss;
}

Tensor loss_of(EnsembleKind kind, const Tensor& z, const Tensor& y, const Tensor& w, bool fused) {
  return ensemble_type(kind).objective.loss(default_task(), {z, mean_of_students(z), y, w}, {}, fused);
}

TEST(JointObjective, IsItsFormula) {
  for (const EnsembleKind kind : kJoint) {
    for (const int64_t m : {1, 2, 3, 10}) {
      const Tensor z = logits(40, m), y = labels(40);
      std::vector<double> weights;
      for (int i = 0; i < 40; ++i) weights.push_back(static_cast<double>((i * 7 + 1) % 4) / 2);
      const Tensor w = Tensor::from<double>(weights, {40, 1});
      for (const bool fused : {true, false}) {
        EXPECT_NEAR(loss_of(kind, z, y, {}, fused).item(), by_hand(kind, z, y, std::vector<double>(40, 1.0)), 1e-13)
            << name_of(kind) << " " << m << " " << fused;
        EXPECT_NEAR(loss_of(kind, z, y, w, fused).item(), by_hand(kind, z, y, weights), 1e-13)
            << name_of(kind) << " " << m << " " << fused;
      }
    }
  }
}

TEST(JointObjective, RowsOfNoWeightGiveNothing) {
  Tensor z = logits(9, 3);
  z.set_requires_grad();
  const Tensor y = labels(9), zeros = Tensor::zeros({9, 1}, DType::f64);
  for (const EnsembleKind kind : kJoint) {
    for (const bool fused : {true, false}) {
      z.clear_grad();
      const Tensor loss = loss_of(kind, z, y, zeros, fused);
      EXPECT_EQ(loss.item(), 0) << name_of(kind) << fused;
      backward(loss);
      for (const double g : z.grad().to_vector<double>()) EXPECT_EQ(g, 0) << name_of(kind) << fused;
    }
  }
}

TEST(JointObjective, StaysFiniteWhereProbabilitiesSaturate) {
  const Tensor y = labels(30).to(DType::f32);
  for (const EnsembleKind kind : kJoint) {
    for (const bool fused : {true, false}) {
      Tensor z = logits(30, 3, 200).to(DType::f32);
      z.set_requires_grad();
      const Tensor loss = loss_of(kind, z, y, {}, fused);
      EXPECT_TRUE(std::isfinite(loss.item())) << name_of(kind) << fused;
      backward(loss);
      for (const float g : z.grad().to_vector<float>()) EXPECT_TRUE(std::isfinite(g)) << name_of(kind) << fused;
    }
  }
}

TEST(JointObjective, SameBitsForAnyNumberOfThreads) {
  for (const EnsembleKind kind : kJoint) {
    std::vector<std::vector<float>> all;
    for (const int threads : {1, 2, 3}) {
      set_num_threads(threads);
      Tensor z = logits(4001, 5).to(DType::f32);
      z.set_requires_grad();
      const Tensor loss = loss_of(kind, z, labels(4001).to(DType::f32), {}, true);
      backward(loss);
      all.push_back(z.grad().to_vector<float>());
      all.back().push_back(static_cast<float>(loss.item()));
    }
    EXPECT_EQ(all[1], all[0]) << name_of(kind);
    EXPECT_EQ(all[2], all[0]) << name_of(kind);
  }
}

TEST(JointObjective, RefusesShapesThatDoNotFit) {
  const OpInfo& op = *ensemble_type(EnsembleKind::final).objective.op;
  EXPECT_THROW(joint_objective(op, {}, Tensor::zeros({3, 2}), Tensor::zeros({3})), Error);
  EXPECT_THROW(joint_objective(op, {}, Tensor::zeros({0, 2}), Tensor::zeros({0, 1})), Error);
  EXPECT_THROW(joint_objective(op, {}, Tensor::zeros({3, 2}), Tensor::zeros({3, 1}), Tensor::zeros({3})), Error);
}

}  // namespace
}  // namespace kdef
