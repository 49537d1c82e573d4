// What the tests of values share: the gradient checks only tie derivatives to values, so that values are compared with
// plain loops and known numbers.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "core/tensor/tensor.h"
#include "ops/check/gradcheck.h"
#include "ops/gemm/gemm.h"

namespace kdef::ops {

using V = std::vector<double>;

inline Tensor t(const V& values, const Shape& shape) { return Tensor::from<double>(values, shape); }
inline V values(const Tensor& x) { return x.to_vector<double>(); }
inline void expect_near(const V& got, const V& want, double tolerance = 1e-14) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], tolerance) << "element " << i;
}

// Whether this build and processor compute products in bf16.
inline bool has_bf16_products() {
  try {
    check_precision(GemmPrecision::bf16, kCpu);
    return true;
  } catch (const InputError&) {
    return false;
  }
}

inline std::vector<GemmPrecision> precisions_here() {
  std::vector<GemmPrecision> all = {GemmPrecision::f32};
  if (has_bf16_products()) all.push_back(GemmPrecision::bf16);
  return all;
}

}  // namespace kdef::ops
