#include "nn/activations.h"

#include <gmock/gmock.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "nn/networks/network.h"

namespace kdef::nn {
namespace {

using testing::ElementsAre;

const std::vector<double> kInputs = {-2, -0.5, 0, 0.75, 3, -1};

// The result [3, 2] for kInputs, row after row.
std::vector<double> result_of(const ActivationLayer& layer, const Pass& pass = {}) {
  return layer.forward(Tensor::from(kInputs, {3, 2}), pass).to_vector<double>();
}

TEST(Activations, AreFoundByTheirNames) {
  EXPECT_EQ(parse_activation("ReLU"), Activation::relu);
  EXPECT_EQ(parse_activation("SIGMOID"), Activation::sigmoid);
  EXPECT_EQ(parse_activation("leakyrelu"), Activation::leaky_relu);
  EXPECT_EQ(parse_activation("prelu"), Activation::prelu);
  for (const char* name : {"none", "linear", "null"}) EXPECT_EQ(parse_activation(name), Activation::none);
  for (const ActivationType& type : activation_types()) EXPECT_EQ(parse_activation(type.name), type.kind);
  EXPECT_EQ(activation_names().size(), activation_types().size() + 1);
  EXPECT_THROW(parse_activation("gelux"), InputError);
  Builder build;
  EXPECT_THROW(make_activation(Activation::none, 2, build), Error);
}

struct Formula {
  Activation kind;
  double (*value)(double);
};

class ElementwiseActivations : public testing::TestWithParam<Formula> {};

TEST_P(ElementwiseActivations, HaveTheirFormulas) {
  Builder build(1, DType::f64);
  const auto layer = make_activation(GetParam().kind, 2, build);
  EXPECT_EQ(layer->kind(), GetParam().kind);
  EXPECT_TRUE(layer->parameters().empty() && layer->buffers().empty());
  const std::vector<double> y = result_of(*layer);
  for (size_t i = 0; i < kInputs.size(); ++i) EXPECT_NEAR(y[i], GetParam().value(kInputs[i]), 1e-14) << kInputs[i];
}
INSTANTIATE_TEST_SUITE_P(
    All, ElementwiseActivations,
    testing::Values(Formula{Activation::relu, [](double x) { return std::max(x, 0.0); }},
                    Formula{Activation::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }},
                    Formula{Activation::tanh, [](double x) { return std::tanh(x); }},
                    Formula{Activation::gelu, [](double x) { return x * (1 + std::erf(x / std::sqrt(2.0))) / 2; }},
                    Formula{Activation::leaky_relu, [](double x) { return x > 0 ? x : 0.01 * x; }},
                    Formula{Activation::silu, [](double x) { return x / (1 + std::exp(-x)); }}),
    [](const auto& test) { return std::string(activation_types()[static_cast<size_t>(test.param.kind) - 1].name); });

TEST(PRelu, HasOneSlopePerUnit) {
  Builder build(1, DType::f64);
  const auto layer = make_activation(Activation::prelu, 2, build);
  Parameter weight = layer->parameters().at(0);
  EXPECT_EQ(weight.name, "weight");
  EXPECT_THAT(weight.tensor.to_vector<double>(), ElementsAre(0.1, 0.1));
  weight.tensor.copy_from(Tensor::from<double>({0.5, -3.0}, {2}));
  EXPECT_THAT(result_of(*layer), ElementsAre(-1, 1.5, 0, 0.75, 3, 3));
}

// y = p x + alpha (1 - p) x, p = sigmoid((x - mean) / sqrt(var + eps)), for x of column 0 or 1.
double dice(double x, double mean, double var, double alpha) {
  const double p = 1 / (1 + std::exp(-(x - mean) / std::sqrt(var + 1e-9)));
  return p * x + alpha * (1 - p) * x;
}

TEST(Dice, NormalisesByTheBatchInTrainingAndByTheRunningMomentsAfterwards) {
  Builder build(1, DType::f64);
  const auto layer = make_activation(Activation::dice, 2, build);
  Parameter alpha = layer->parameters().at(0);
  EXPECT_EQ(layer->parameters().size(), 1u);
  EXPECT_EQ(alpha.name, "alpha");
  EXPECT_THAT(alpha.tensor.to_vector<double>(), ElementsAre(0, 0));
  const double alphas[] = {0.3, -0.7};
  alpha.tensor.copy_from(Tensor::from<double>({alphas[0], alphas[1]}, {2}));

  // The moments of the columns of kInputs: biased variance to normalise, unbiased variance for the running one.
  double mean[2], var[2], running_mean[2], running_var[2];
  for (size_t c = 0; c < 2; ++c) {
    mean[c] = (kInputs[c] + kInputs[c + 2] + kInputs[c + 4]) / 3;
    double squares = 0;
    for (size_t i = c; i < 6; i += 2) squares += (kInputs[i] - mean[c]) * (kInputs[i] - mean[c]);
    var[c] = squares / 3;
    running_mean[c] = 0.01 * mean[c];
    running_var[c] = 0.99 + 0.01 * squares / 2;
  }
  const std::vector<double> training = result_of(*layer, {.training = true}), evaluation = result_of(*layer);
  for (size_t i = 0; i < 6; ++i) {
    const size_t c = i % 2;
    EXPECT_NEAR(training[i], dice(kInputs[i], mean[c], var[c], alphas[c]), 1e-13);
    EXPECT_NEAR(evaluation[i], dice(kInputs[i], running_mean[c], running_var[c], alphas[c]), 1e-13);
  }
  const std::vector<Buffer> buffers = layer->buffers();
  ASSERT_EQ(buffers.size(), 2u);
  EXPECT_EQ(buffers[0].name, "bn.running_mean");
  EXPECT_EQ(buffers[1].name, "bn.running_var");
  for (size_t c = 0; c < 2; ++c) {
    EXPECT_NEAR(buffers[0].tensor.to_vector<double>()[c], running_mean[c], 1e-15);
    EXPECT_NEAR(buffers[1].tensor.to_vector<double>()[c], running_var[c], 1e-14);
  }
}

TEST(Activations, HaveTheStateNamesOfFuxiCTR) {
  const auto names = [](const std::string& network) {
    Builder build;
    const NetworkConfig config{
        .network = network, .hidden_units = {4, 2}, .hidden_activations = {"PReLU", "Dice"}, .dropout = {0.0, 0.0}};
    const auto model = make_network(config, {2, 3, 6}, build);
    std::vector<std::string> all;
    for (const Parameter& p : model->parameters()) all.push_back(p.name);
    for (const Buffer& b : model->buffers()) all.push_back(b.name);
    return all;
  };
  EXPECT_THAT(names("mlp"),
              ElementsAre("mlp.0.weight", "mlp.0.bias", "mlp.1.weight", "mlp.2.weight", "mlp.2.bias", "mlp.3.alpha",
                          "mlp.4.weight", "mlp.4.bias", "mlp.3.bn.running_mean", "mlp.3.bn.running_var"));
  EXPECT_THAT(names("kdef_finalnet"),
              testing::IsSupersetOf({"activation.0.weight", "activation.1.alpha", "activation.1.bn.running_mean"}));
}

}  // namespace
}  // namespace kdef::nn
