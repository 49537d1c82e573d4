// Memory of devices, as tensors use it, and names of devices.
#include <gtest/gtest.h>

#include "core/tensor/tensor.h"

namespace kdef {
namespace {

TEST(Memory, ReusesBlocksOfEqualSize) {
  Memory& memory = memory_of(kCpu);
  { const Tensor t = Tensor::empty({1000, 37}); }
  const size_t before = memory.statistics().system_allocations;
  for (int i = 0; i < 5; ++i) const Tensor t = Tensor::empty({1000, 37});
  EXPECT_EQ(memory.statistics().system_allocations, before);
}

TEST(Memory, CountsUseAndPeak) {
  Memory& memory = memory_of(kCpu);
  const size_t before = memory.statistics().in_use;
  {
    const Tensor t = Tensor::empty({1 << 20});
    EXPECT_GE(memory.statistics().in_use, before + (size_t{4} << 20));
  }
  EXPECT_EQ(memory.statistics().in_use, before);
  memory.trim();
  EXPECT_EQ(memory.statistics().reserved, memory.statistics().in_use);
}

TEST(Device, IsParsed) {
  EXPECT_EQ(parse_device("cpu"), kCpu);
  EXPECT_THROW(parse_device("tpu"), InputError);
  EXPECT_THROW(parse_device("cuda"), InputError);  // this build has none
}

// Kernels read vectors of 16 doubles from the beginning of a tensor.
TEST(Memory, TensorsBeginAtMultiplesOf128Bytes) {
  for (const int64_t n : {1, 16, 17, 1000, 300000}) {
    const Tensor small = Tensor::empty({n}, DType::f64), again = Tensor::empty({n}, DType::f64);
    for (const Tensor* t : {&small, &again}) EXPECT_EQ(reinterpret_cast<uintptr_t>(t->data<double>()) % 128, 0u) << n;
  }
}

}  // namespace
}  // namespace kdef
