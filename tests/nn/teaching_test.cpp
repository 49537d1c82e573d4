#include "nn/teaching.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/elementwise.h"
#include "ops/loss.h"

namespace kdef::nn {
namespace {

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }
double cross_entropy(double p, double y) { return -(y * std::log(p) + (1 - y) * std::log(1 - p)); }

TaskFunctions clicks() {
  return {[](const Tensor& z) { return ops::sigmoid(z); },
          [](const Tensor& z, const Tensor& y) { return ops::binary_cross_entropy(ops::sigmoid(z), y); }};
}

TEST(Teaching, LogitOfTheMeanProbability) {
  const Tensor z = Tensor::from<double>({0.5, -1.5, 2.0, 3.0}, {2, 2});
  const Tensor logit = logit_of_mean_probability(z);
  EXPECT_NEAR(sigmoid(logit.data<double>()[0]), (sigmoid(0.5) + sigmoid(-1.5)) / 2, 1e-15);
  EXPECT_NEAR(sigmoid(logit.data<double>()[1]), (sigmoid(2.0) + sigmoid(3.0)) / 2, 1e-15);
  // 1 - p would be 0 in fp64.
  EXPECT_NEAR(logit_of_mean_probability(Tensor::from<double>({50, 50}, {1, 2})).item(), 50, 1e-12);
  const Tensor one = Tensor::from<float>({-120, 0.1f, 130}, {3, 1});
  EXPECT_EQ(logit_of_mean_probability(one).to_vector<float>(), one.to_vector<float>());
}

TEST(Teaching, TheTaughtLearnAndTheTeacherDoesNot) {
  Tensor z = Tensor::from<double>({0.5, -1.5, 2.0, 3.0}, {2, 2}), t = Tensor::from<double>({0.25, 0.75}, {2, 1});
  z.set_requires_grad();
  t.set_requires_grad();
  const Tensor loss = loss_of_taught(z, t, clicks());
  EXPECT_NEAR(loss.item(),
              (cross_entropy(sigmoid(0.5), 0.25) + cross_entropy(sigmoid(2.0), 0.75)) / 2 +
                  (cross_entropy(sigmoid(-1.5), 0.25) + cross_entropy(sigmoid(3.0), 0.75)) / 2,
              1e-14);
  backward(loss);
  EXPECT_FALSE(t.grad().defined());
  EXPECT_NEAR(z.grad().data<double>()[2], (sigmoid(2.0) - 0.75) / 2, 1e-15);
}

TEST(Teaching, OnlyTheWorseLearn) {
  const double logits[2][2] = {{0.5, -1.5}, {2.0, -3.0}}, y[2] = {1, 1};
  Tensor z = Tensor::from<double>({0.5, -1.5, 2.0, -3.0}, {2, 2});
  z.set_requires_grad();
  const Tensor labels = Tensor::from<double>({1, 1}, {2, 1});
  const double of_mean = 1;  // between the losses of the two
  double of[2] = {0, 0};
  for (int b = 0; b < 2; ++b) {
    for (int k = 0; k < 2; ++k) of[k] += cross_entropy(sigmoid(logits[b][k]), y[b]) / 2;
  }
  ASSERT_LT(of[0], of_mean);
  ASSERT_GT(of[1], of_mean);
  const Tensor loss = loss_of_worse(z, Tensor::full({}, of_mean, DType::f64), labels, clicks());
  EXPECT_NEAR(loss.item(), (of[1] - of_mean) * of[1], 1e-14);
  backward(loss);
  EXPECT_EQ(z.grad().data<double>()[0], 0);
  EXPECT_NEAR(z.grad().data<double>()[1], (2 * of[1] - of_mean) * (sigmoid(-1.5) - 1) / 2, 1e-14)
      << "the weight carries gradient";
}

}  // namespace
}  // namespace kdef::nn
