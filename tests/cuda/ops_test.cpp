// Every op on the device: its gradient against differences, its value and gradient against the CPU's. An op without a
// kernel for the device fails here.
#include <algorithm>

#include "ops/check/cases.h"
#include "ops/dropout.h"
#include "ops/gemm/route.h"
#include "ops/layout.h"
#include "ops/norm.h"
#include "ops/reduce.h"
#include "tests/cuda/support.h"

namespace kdef::ops {
namespace {

using test::kDevice;

class OpsOnDevice : public testing::TestWithParam<OpCase> {};

TEST_P(OpsOnDevice, GradientAgreesWithDifferences) {
  const test::OpenMemory open;
  const GradientReport report = check_gradient(GetParam().make(kDevice));
  EXPECT_GT(report.elements, 0);
  EXPECT_LE(report.deviation, kGradientTolerance) << report.worst;
}

TEST_P(OpsOnDevice, AgreesWithTheCpu) {
  const GradientCase c = GetParam().make(kDevice);
  for (const Tensor& x : c.inputs) EXPECT_EQ(x.device(), kDevice);
  test::expect_as_on_cpu(c.function, c.inputs, c.constants);
}

INSTANTIATE_TEST_SUITE_P(Ops, OpsOnDevice, testing::ValuesIn(op_cases()), [](const auto& test) {
  std::string name = std::string(test.param.info->name) + "_" + test.param.variant;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name + "_" + std::to_string(test.index);
});

TEST(GradientCheckOnDevice, CatchesAWrongGradient) {
  GradientCase c;
  c.inputs = {random_uniform({2, 3}, -1, 1, 1).to(kDevice)};
  c.function = [](const std::vector<Tensor>& x) { return dropout(x[0], 0.5, dropout_key(1, 0, 1)); };
  c.held = [](const std::vector<Tensor>& x) { return dropout(x[0], 0.5, dropout_key(1, 0, 2)); };
  EXPECT_FALSE(check_gradient(c).passed());
}

TEST(LayoutOnDevice, SlicesElementsOfAnySize) {
  const auto compare = [](const Tensor& x) {
    const Tensor here = slice(x, 1, 1, 3), there = slice(x.to(kDevice), 1, 1, 3).to(kCpu);
    EXPECT_TRUE(std::equal(here.raw(), here.raw() + here.bytes(), there.raw())) << name_of(x.dtype());
  };
  const Tensor bytes = Tensor::empty({3, 80}, DType::u8);
  for (int64_t i = 0; i < bytes.numel(); ++i) bytes.data<uint8_t>()[i] = static_cast<uint8_t>(i);
  compare(bytes);
  for (const DType type : {DType::bf16, DType::i32, DType::f32, DType::i64, DType::f64}) {
    const Tensor x = Tensor::empty({3, 80 / static_cast<int64_t>(size_of(type))}, type);
    std::copy(bytes.raw(), bytes.raw() + bytes.bytes(), x.raw());
    compare(x);
  }
}

// ---- products of operands that are rounded already

// Two matrices side by side in every operand, with a bias of their own.
Gemm rounded_product(int64_t k) {
  Gemm g;
  g.m = 20, g.n = 16, g.k = k, g.batch = 2;
  g.lda = g.ldb = 2 * std::max<int64_t>(k, 8), g.stride_a = g.stride_b = std::max<int64_t>(k, 8);
  g.transpose_b = true;
  g.ldc = 2 * g.n, g.stride_c = g.n, g.stride_bias = g.n;
  return g;
}

TEST(RoundedProducts, AreThoseOfTheRoundedNumbers) {
  for (const int64_t k : {24, 0}) {
    for (const bool biased : {true, false}) {
      const Gemm g = rounded_product(k);
      const Tensor a = random_uniform({g.m, g.lda}, -1, 1, 1).to(DType::f32).to(kDevice),
                   b = random_uniform({g.n, g.ldb}, -1, 1, 2).to(DType::f32).to(kDevice),
                   bias = random_uniform({2 * g.n}, -1, 1, 3).to(DType::f32).to(kDevice);
      const Tensor ra = round_operand(a), rb = round_operand(b);
      EXPECT_EQ(ra.dtype(), DType::bf16);
      const auto widened = [](const Tensor& t) { return t.to(kCpu).to(DType::f32).to(kDevice); };
      const Tensor have = Tensor::zeros({g.m, g.ldc}, DType::f32, kDevice),
                   want = Tensor::zeros({g.m, g.ldc}, DType::f32, kDevice);
      gemm(g, ra, rb, have, biased ? bias : Tensor());
      gemm(g, widened(ra), widened(rb), want, biased ? bias : Tensor());
      const std::vector<float> x = have.to_vector<float>(), y = want.to_vector<float>();
      for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], 1e-5) << "k " << k << ", element " << i;
    }
  }
}

TEST(RoundedProducts, NeedRowsThatAreReadBySixteenBytes) {
  Gemm g = rounded_product(24);
  const Tensor a = Tensor::zeros({2000}, DType::bf16, kDevice), c = Tensor::zeros({1000}, DType::f32, kDevice);
  gemm(g, a, a, c);
  g.lda += 4;
  EXPECT_THROW(gemm(g, a, a, c), Error);
  g = rounded_product(24);
  g.accumulate = true;
  EXPECT_THROW(gemm(g, a, a, c, c), Error) << "an accumulated product with a bias";
}

TEST(RoundedProducts, AreAskedForByThePrecision) {
  const Tensor here = Tensor::zeros({4}), there = here.to(kDevice), wide = Tensor::zeros({4}, DType::f64, kDevice);
  EXPECT_EQ(operand_type(there), DType::f32);
  const PrecisionScope scope(GemmPrecision::bf16);
  EXPECT_EQ(operand_type(there), DType::bf16);
  EXPECT_EQ(operand_type(here), DType::f32) << "the CPU rounds within its products";
  EXPECT_EQ(operand_type(wide), DType::f64);
}

TEST(RoundedProducts, TheirColumnsAreSummedAsFp32) {
  for (const int64_t columns : {3, 32}) {
    const Tensor x = round_operand(random_uniform({150, columns}, -1, 1, 1).to(DType::f32).to(kDevice));
    std::vector<double> want(static_cast<size_t>(columns));
    const std::vector<BFloat16> all = x.to_vector<BFloat16>();
    for (size_t i = 0; i < all.size(); ++i) want[i % want.size()] += static_cast<double>(from_bf16(all[i]));
    const std::vector<float> have = column_sums(x, DType::f32).to_vector<float>();
    for (size_t j = 0; j < want.size(); ++j) EXPECT_NEAR(have[j], want[j], 1e-4);
  }
}

// ---- dropout

// 1000 * 7 elements: the last Philox block is whole, that of the first 999 * 7 is not.
TEST(DropoutOnDevice, TheMaskIsTheCpus) {
  for (const int64_t rows : {999, 1000}) {
    const Tensor x = random_uniform({rows, 7}, 1, 2, 1).to(DType::f32);
    const DropoutKey key = dropout_key(5, 3, 11);
    EXPECT_EQ(dropout(x.to(kDevice), 0.3, key).to_vector<float>(), dropout(x, 0.3, key).to_vector<float>());
  }
}

std::vector<float> fused_layer(const Tensor& x, const DropoutKey& key) {
  const Tensor ones = Tensor::full({x.shape()[1]}, 1, x.dtype(), x.device());
  const HiddenLayer layer{ones, ones, {ones.clone()}, {ones.clone()}, true, 0.3, {key}};
  return batch_norm_relu_dropout(x, layer).to_vector<float>();
}

TEST(DropoutOnDevice, TheStepMayBeInDeviceMemory) {
  const Tensor x = random_uniform({65, 7}, 1, 2, 1).to(DType::f32);
  for (const Device device : {kCpu, kDevice}) {
    const Tensor on = x.to(device);
    const Tensor step = Tensor::from<int64_t>({11}, {1}, device);
    const auto* address = reinterpret_cast<const uint64_t*>(step.raw());
    const DropoutKey plain = dropout_key(5, 3, 11), added = dropout_key(5, 3, 0, address),
                     other = dropout_key(5, 3, 1, address);
    const std::vector<float> want = dropout(on, 0.3, plain).to_vector<float>();
    EXPECT_EQ(dropout(on, 0.3, added).to_vector<float>(), want);
    EXPECT_NE(dropout(on, 0.3, other).to_vector<float>(), want);
    EXPECT_EQ(dropout(on, 0.3, other).to_vector<float>(), dropout(on, 0.3, dropout_key(5, 3, 12)).to_vector<float>());
    EXPECT_EQ(fused_layer(on, added), fused_layer(on, plain));
    EXPECT_NE(fused_layer(on, other), fused_layer(on, plain));
  }
}

TEST(DropoutOnDevice, ARecordedStepHasTheMaskOfItsStep) {
  const Tensor x = random_uniform({65, 7}, 1, 2, 1).to(DType::f32).to(kDevice);
  Tensor step = Tensor::zeros({1}, DType::i64, kDevice), y = Tensor::empty_like(x);
  const DropoutKey key = dropout_key(5, 3, 0, reinterpret_cast<const uint64_t*>(step.raw()));
  kdef::cuda::Graph graph;
  graph.record([&] { y.copy_from(dropout(x, 0.3, key)); });
  for (const uint64_t s : {uint64_t{1}, uint64_t{2}, uint64_t{70}}) {
    step.fill(static_cast<double>(s));
    graph.launch();
    EXPECT_EQ(y.to_vector<float>(), dropout(x, 0.3, dropout_key(5, 3, s)).to_vector<float>()) << "step " << s;
  }
}

}  // namespace
}  // namespace kdef::ops
