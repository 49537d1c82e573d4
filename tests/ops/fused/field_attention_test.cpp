// field_attention against its parts, and its bits.
#include "ops/fused/field_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/parallel.h"
#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

struct Sizes {
  int64_t rows, fields, width;
  AttentionForm form;
};

// y, and the gradients of q, k and v.
std::vector<V> computed(bool fused, DType type, const Sizes& sizes, double spread = 1) {
  const auto input = [&](uint64_t seed) {
    Tensor t = random_uniform({sizes.rows, sizes.fields, sizes.width}, -spread, spread, seed).to(type);
    return t.set_requires_grad();
  };
  const Tensor q = input(1), k = input(2), v = input(3);
  const Tensor y = (fused ? field_attention : field_attention_composed)(q, k, v, sizes.form);
  backward(y, random_uniform(y.shape(), -1, 1, 4).to(type));
  std::vector<V> all;
  for (const Tensor& t : {y, q.grad(), k.grad(), v.grad()}) all.push_back(values(t.to(DType::f64)));
  return all;
}

// Fields and columns that are fewer than a vector, whole vectors, and more; heads that share a row.
std::vector<Sizes> all_sizes() {
  AttentionForm dropped{.heads = 2, .scale = 0.5, .p = 0.3, .key = dropout_key(5, 2, 9)};
  AttentionForm later = dropped;
  later.key.first_row = 1000;
  return {{3, 1, 1, {}}, {37, 5, 6, dropped}, {40, 39, 8, later}, {17, 16, 16, {.heads = 1}}, {9, 33, 40, dropped}};
}

TEST(FieldAttention, AgreesWithItsParts) {
  for (const auto& [type, tolerance] : {std::pair{DType::f64, 1e-12}, {DType::f32, 2e-5}}) {
    for (const Sizes& sizes : all_sizes()) {
      const std::vector<V> fused = computed(true, type, sizes), composed = computed(false, type, sizes);
      for (size_t i = 0; i < composed.size(); ++i) {
        ASSERT_EQ(fused[i].size(), composed[i].size());
        for (size_t j = 0; j < composed[i].size(); ++j) {
          ASSERT_NEAR(fused[i][j], composed[i][j], tolerance) << sizes.fields << " fields, result " << i << ", " << j;
        }
      }
    }
  }
}

// Scores up to 12 * 30 * 30, of which all but the largest have weights that vanish.
TEST(FieldAttention, LargeScoresDoNotOverflow) {
  const Sizes sizes{20, 7, 12, {}};
  const std::vector<V> fused = computed(true, DType::f32, sizes, 30), composed = computed(false, DType::f32, sizes, 30);
  for (size_t i = 0; i < composed.size(); ++i) {
    double size = 1;
    for (const double v : composed[i]) size = std::max(size, std::abs(v));
    for (size_t j = 0; j < composed[i].size(); ++j)
      ASSERT_NEAR(fused[i][j], composed[i][j], 1e-3 * size) << i << " " << j;
  }
  // A score that is 100 below the other has weight 0.
  const Tensor q = t({1, 1}, {1, 2, 1}).to(DType::f32), k = t({0, 100}, {1, 2, 1}).to(DType::f32),
               v = t({1e30, 4}, {1, 2, 1}).to(DType::f32);
  expect_near(values(field_attention(q, k, v, {}).to(DType::f64)), {4, 4});
}

TEST(FieldAttention, TheFormula) {
  // One query sees keys with the scores 0 and ln 3: weights 1/4 and 3/4.
  const Tensor q = t({0, 1}, {1, 2, 1}), k = t({0, std::log(3.0)}, {1, 2, 1}), v = t({8, 4}, {1, 2, 1});
  expect_near(values(field_attention(q, k, v, {})), {6, 5});
}

TEST(FieldAttention, ARowWithNanIsItsOwn) {
  Tensor q = random_uniform({3, 4, 2}, -1, 1, 1).to(DType::f32), k = random_uniform({3, 4, 2}, -1, 1, 2).to(DType::f32);
  const V clean = values(field_attention(q, k, k, {}).to(DType::f64));
  const Tensor v = k.clone();
  k.data<float>()[8 + 5] = std::numeric_limits<float>::quiet_NaN();
  const V spoilt = values(field_attention(q, k, v, {}).to(DType::f64));
  for (size_t i = 0; i < clean.size(); ++i) {
    if (i / 8 == 1) {
      EXPECT_TRUE(std::isnan(spoilt[i])) << i;
    } else {
      EXPECT_EQ(spoilt[i], clean[i]) << i;
    }
  }
}

TEST(FieldAttention, DoesNotDependOnThreadsNorOnTheRowsBeside) {
  const Sizes sizes = all_sizes()[2];
  std::vector<V> first;
  const int before = num_threads();
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    const std::vector<V> all = computed(true, DType::f32, sizes);
    if (first.empty()) first = all;
    EXPECT_EQ(all, first) << threads;
  }
  set_num_threads(before);
  const Tensor x = random_uniform({40, 39, 8}, -1, 1, 1).to(DType::f32);
  AttentionForm form = sizes.form;
  const V all = values(field_attention(x, x, x, form).to(DType::f64));
  for (const int64_t row : {0, 15, 39}) {
    form.key.first_row = sizes.form.key.first_row + row;
    const Tensor of_row = x.rows(row, 1);
    const V alone = values(field_attention(of_row, of_row, of_row, form).to(DType::f64));
    for (size_t i = 0; i < alone.size(); ++i) EXPECT_EQ(alone[i], all[static_cast<size_t>(row) * alone.size() + i]);
  }
}

TEST(FieldAttention, RefusesShapesThatDoNotFit) {
  const Tensor q = Tensor::zeros({4, 2, 6}, DType::f64);
  EXPECT_THROW(field_attention(q, Tensor::zeros({4, 3, 6}, DType::f64), q, {}), Error);
  EXPECT_THROW(field_attention(q, q, q, {.heads = 4}), Error);
  EXPECT_THROW(field_attention(q, q, q, {.p = 1.0}), Error);
}

}  // namespace
}  // namespace kdef::ops
