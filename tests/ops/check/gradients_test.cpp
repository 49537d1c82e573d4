// The gradient of every op, and that the check of it can fail.
#include <gtest/gtest.h>

#include "ops/check/cases.h"
#include "ops/elementwise.h"

namespace kdef::ops {
namespace {

class Gradients : public testing::TestWithParam<OpCase> {};

TEST_P(Gradients, AgreeWithDifferences) {
  const GradientReport report = check_gradient(GetParam().make(kCpu));
  EXPECT_GT(report.elements, 0);
  EXPECT_LE(report.deviation, kGradientTolerance) << report.worst;
}

INSTANTIATE_TEST_SUITE_P(Ops, Gradients, testing::ValuesIn(op_cases()), [](const auto& test) {
  std::string name = std::string(test.param.info->name) + "_" + test.param.variant;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name + "_" + std::to_string(test.index);
});

TEST(GradientCheck, CatchesAWrongSign) {
  GradientCase c;
  c.inputs = {random_uniform({2, 3}, -1, 1, 1)};
  c.function = [](const std::vector<Tensor>& x) { return neg(exp(x[0])); };
  c.held = [](const std::vector<Tensor>& x) { return exp(x[0]); };
  EXPECT_FALSE(check_gradient(c).passed());
}

// Of leaves of 6 and 2 elements.
TEST(GradientCheck, SampledItComparesSomeElementsOfEveryLeaf) {
  GradientCase c;
  c.inputs = {random_uniform({2, 3}, -1, 1, 1), random_uniform({2, 1}, -1, 1, 2)};
  c.function = [](const std::vector<Tensor>& x) { return mul(x[0], x[1]); };
  EXPECT_EQ(check_gradient(c).elements, 8);
  {
    const SampledChecks sampled(4);
    EXPECT_EQ(check_gradient(c).elements, 3);
    EXPECT_TRUE(check_gradient(c).passed());
    c.function = [](const std::vector<Tensor>& x) { return mul(x[0], x[1].detach()); };
    EXPECT_FALSE(check_gradient(c).passed());
  }
  EXPECT_EQ(check_gradient(c).elements, 8) << "all of them again";
}

TEST(GradientCheck, CatchesAMissingGradient) {
  GradientCase c;
  c.inputs = {random_uniform({2}, -1, 1, 1), random_uniform({2}, -1, 1, 2)};
  c.function = [](const std::vector<Tensor>& x) { return mul(x[0], x[1].detach()); };
  EXPECT_FALSE(check_gradient(c).passed());
}

TEST(GradientCheck, CatchesNan) {
  GradientCase c;
  c.inputs = {random_uniform({2}, -2, -1, 1)};
  c.function = [](const std::vector<Tensor>& x) { return sqrt(x[0]); };
  EXPECT_FALSE(check_gradient(c).passed());
}

}  // namespace
}  // namespace kdef::ops
