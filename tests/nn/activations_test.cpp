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
INSTANTIATE_TEST_SUITE_P(All, ElementwiseActivations,
                         testing::Values(Formula{Activation::relu, [](double x) { return std::max(x, 0.0); }},
                                         Formula{Activation::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }},
                                         Formula{Activation::tanh, [](double x) { return std::tanh(x); }}),
                         [](const auto& test) {
                           return std::string(activation_types()[static_cast<size_t>(test.param.kind) - 1].name);
                         });

}  // namespace
}  // namespace kdef::nn
