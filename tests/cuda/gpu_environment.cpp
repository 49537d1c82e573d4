// test_gpu: the tests of the emulated device on a GPU. Without one all of them are skipped.
#include <gtest/gtest.h>

#include "core/cuda/runtime.h"

namespace {

class NeedsGpu : public testing::Environment {
  void SetUp() override {
    if (kdef::cuda::device_count() == 0) GTEST_SKIP() << "there is no GPU";
  }
};

[[maybe_unused]] const testing::Environment* const kNeedsGpu = testing::AddGlobalTestEnvironment(new NeedsGpu);

}  // namespace
