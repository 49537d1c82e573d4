// The same computation on the device - emulated, or in test_gpu a GPU - and on the CPU.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "core/cuda/runtime.h"
#include "core/tensor/tape.h"
#include "ops/check/gradcheck.h"
#if defined(KDEF_CUDA_EMULATED)
#include "core/cuda/emulated.h"
#endif

namespace kdef::test {

inline constexpr Device kDevice{DeviceType::cuda, 0};

#if defined(KDEF_CUDA_EMULATED)
using kdef::cuda::emulated::OpenMemory;
inline constexpr size_t kCheckEvery =
    7;  // of the partial derivatives of layers and networks; the CPU's tests check all
#else
inline constexpr size_t kCheckEvery = 1;
struct [[maybe_unused]] OpenMemory {};  // a GPU's memory is always there for the GPU, and never for the host
#endif

/// Accepted |device - cpu| / max(1, |cpu|): both do the same operations and differ in the order of their sums, of
/// numbers of size 1. In fp32 a few dozen roundings of 2^-24, as sums within a part of 64 rows are fp32; in fp64 of
/// 2^-53.
inline constexpr double kTolerance32 = 4e-6, kTolerance64 = 1e-12;

using Function = std::function<Tensor(const std::vector<Tensor>&)>;

/// The value of f, then the gradients of seed_scale sum(r f), r a fixed random cotangent, all on the host in fp64. The
/// results must be on `device`.
inline std::vector<std::vector<double>> evaluated(const Function& f, const std::vector<Tensor>& inputs,
                                                  const std::vector<size_t>& constants, DType dtype, Device device,
                                                  double seed_scale) {
  std::vector<Tensor> x;
  for (size_t i = 0; i < inputs.size(); ++i) {
    x.push_back(inputs[i].to(kCpu).to(dtype).to(device));
    if (x[i].same_storage(inputs[i])) x[i] = x[i].clone();
    if (std::find(constants.begin(), constants.end(), i) == constants.end()) x[i].set_requires_grad();
  }
  const Tensor y = f(x);
  EXPECT_EQ(y.device(), device);
  Tensor seed = ops::random_uniform(y.shape(), -1, 1, 1000);
  for (int64_t i = 0; i < seed.numel(); ++i) seed.data<double>()[i] *= seed_scale;
  backward(y, seed.to(dtype).to(device));
  const auto on_host = [](const Tensor& t) { return t.to(kCpu).to(DType::f64).to_vector<double>(); };
  std::vector<std::vector<double>> all{on_host(y)};
  for (const Tensor& t : x) {
    const Tensor g = t.grad();
    if (!g.defined()) continue;
    EXPECT_EQ(g.device(), device);
    all.push_back(on_host(g));
  }
  return all;
}

/// The device's value and gradients against the CPU's, in fp32 and fp64.
inline void expect_as_on_cpu(const Function& f, const std::vector<Tensor>& inputs,
                             const std::vector<size_t>& constants = {}, double seed_scale = 1) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const double tolerance = dtype == DType::f32 ? kTolerance32 : kTolerance64;
    const auto want = evaluated(f, inputs, constants, dtype, kCpu, seed_scale);
    const auto have = evaluated(f, inputs, constants, dtype, kDevice, seed_scale);
    ASSERT_EQ(have.size(), want.size());
    ASSERT_GT(want.size(), 1u) << "no gradient was compared";
    for (size_t t = 0; t < want.size(); ++t) {
      ASSERT_EQ(have[t].size(), want[t].size());
      for (size_t i = 0; i < want[t].size(); ++i) {
        ASSERT_NEAR(have[t][i], want[t][i], tolerance * std::max(1.0, std::abs(want[t][i])))
            << name_of(dtype) << (t == 0 ? " value" : " gradient ") << (t == 0 ? "" : std::to_string(t - 1))
            << " element " << i;
      }
    }
  }
}

}  // namespace kdef::test
