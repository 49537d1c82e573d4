// Every op on the device: its gradient against differences, its value and gradient against the CPU's. An op without a
// kernel for the device fails here.
#include <algorithm>

#include "ops/cases.h"
#include "ops/dropout.h"
#include "ops/layout.h"
#include "ops/norm.h"
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
  return batch_norm_relu_dropout(x, ones, ones, ones.clone(), ones.clone(), true, 0.3, key).to_vector<float>();
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
