// test_gpu: the tests of the emulated device on a GPU. Without one it ends with the status that ctest shows as skipped.
#include <gtest/gtest.h>

#include <cstdio>

#include "core/cuda/runtime.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!GTEST_FLAG_GET(list_tests) && kdef::cuda::device_count() == 0) {
    std::puts("Skipped: there is no GPU");
    return 77;
  }
  return RUN_ALL_TESTS();
}
