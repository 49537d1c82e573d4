// The first layer on distinct ids against the plain one.
#include "ops/fused/distinct.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/base/parallel.h"
#include "core/base/random.h"
#include "ops/embedding.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "tests/ops/rounded_gradient.h"
#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

// Cases with many fields make several groups of look-ups, some of them for combinations. Columns that are no multiple
// of a vector leave a rest. The case of 8,300 rows has more distinct ids than a group holds. 24 columns are whole cache
// lines of fp64, but not whole vectors. The last two cases have whole vectors only, which are written past the caches;
// one of them leaves fields to the plain product.
struct DistinctCase {
  int64_t rows, columns, dim;
  std::vector<int32_t> sizes;
  int64_t max_ids = 1 << 20;
};
struct DistinctResult {
  V y, tables, weight, bias;
  bool operator==(const DistinctResult&) const = default;
};
// draw(shape, seed) draws the numbers. With `rounded`, the gradient passes through rounded_gradient of this type.
template <class Draw>
DistinctResult first_layer(const DistinctCase& c, bool distinct, DType type, Draw&& draw,
                           std::optional<DType> rounded = {}) {
  const int64_t fields = static_cast<int64_t>(c.sizes.size());
  std::vector<EmbedField> all;
  std::vector<Tensor> tables;
  std::vector<int64_t> sizes;
  Random random(7);
  std::vector<int32_t> ids(static_cast<size_t>(c.rows * fields));
  for (int64_t f = 0; f < fields; ++f) {
    const int32_t size = c.sizes[static_cast<size_t>(f)];
    all.push_back({EmbedField::Kind::id, static_cast<int>(f), f, 1});
    tables.push_back(draw({size, c.dim}, 10 + static_cast<uint64_t>(f)).to(type).set_requires_grad());
    sizes.push_back(size);
    for (int64_t b = 0; b < c.rows; ++b) {
      ids[static_cast<size_t>(b * fields + f)] = static_cast<int32_t>(random.below(static_cast<uint64_t>(size)));
    }
  }
  Tensor weight = draw({c.columns, fields * c.dim}, 1).to(type).set_requires_grad(),
         bias = draw({c.columns}, 2).to(type).set_requires_grad();
  const Tensor batch = Tensor::from(ids, {c.rows, fields});
  Tensor y;
  if (distinct) {
    const DistinctIds found = distinct_ids(batch, all, sizes, {1 << 20, c.max_ids, 64});
    EXPECT_LT(found.lookups.size(), found.fields.size()) << "nothing was combined";
    std::vector<EmbedField> others;
    for (size_t f = 0; f < all.size(); ++f) {
      if (std::find(found.fields.begin(), found.fields.end(), f) == found.fields.end()) others.push_back(all[f]);
    }
    EXPECT_EQ(others.empty(), c.max_ids >= c.rows);
    const int64_t left = static_cast<int64_t>(others.size()) * c.dim;
    const Tensor dense = left > 0 ? reshape(embed_fields(tables, batch, {}, others), {c.rows, left}) : Tensor();
    y = distinct_linear(embed_distinct(tables, all, found), dense, found, fields, weight, bias);
  } else {
    y = linear(reshape(embed_fields(tables, batch, {}, all), {c.rows, fields * c.dim}), weight, bias);
  }
  backward(rounded ? rounded_gradient(y, *rounded) : y, draw(y.shape(), 3).to(type));
  DistinctResult result{
      values(y.to(DType::f64)), {}, values(weight.grad().to(DType::f64)), values(bias.grad().to(DType::f64))};
  for (const Tensor& table : tables) {
    const V grad = values(table.grad().to(DType::f64));
    result.tables.insert(result.tables.end(), grad.begin(), grad.end());
  }
  return result;
}
const DistinctCase kHalfVector{90, 24, 16, {3, 4, 20}},
    kManyFields{600, 210, 16, {2, 3, 4, 5, 7, 9, 20, 40, 100, 150, 200, 300, 333, 390}},
    kManyIds{8300, 33, 20, {9000, 20000, 5, 6}}, kPairs{600, 186, 16, kManyFields.sizes},
    kWholeVectors{600, 208, 16, kManyFields.sizes}, kSomeFields{600, 208, 16, kManyFields.sizes, 300};
const std::vector<DistinctCase> kDistinctCases = {kHalfVector, kManyFields,   kManyIds,
                                                  kPairs,      kWholeVectors, kSomeFields};

Tensor whole_numbers(const Shape& shape, uint64_t seed) {
  Tensor x = random_uniform(shape, -1.5, 1.5, seed);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] = std::round(x.data<double>()[i]);
  return x;
}

TEST(Distinct, FirstLayerOnDistinctIdsAgreesWithThePlainOne) {
  const auto draw = [](const Shape& shape, uint64_t seed) { return random_uniform(shape, -1, 1, seed); };
  for (const DistinctCase& c : kDistinctCases) {
    EXPECT_TRUE(first_layer(c, true, DType::f32, whole_numbers) == first_layer(c, false, DType::f32, whole_numbers))
        << "sums of whole numbers are exact in any order; " << c.columns << " columns";
    const DistinctResult got = first_layer(c, true, DType::f64, draw), want = first_layer(c, false, DType::f64, draw);
    expect_near(got.y, want.y, 1e-12);
    expect_near(got.tables, want.tables, 1e-11);
    expect_near(got.weight, want.weight, 1e-11);
    expect_near(got.bias, want.bias, 1e-11);
  }
}

TEST(Distinct, FirstLayerOnDistinctIdsHasTheSameBitsForAnyNumberOfThreads) {
  const auto draw = [](const Shape& shape, uint64_t seed) { return random_uniform(shape, -1, 1, seed); };
  const int before = num_threads();
  for (const DType gradient : {DType::f32, DType::bf16}) {
    std::vector<DistinctResult> results;
    for (const int threads : {1, 2, 3, 5}) {
      set_num_threads(threads);
      results.push_back(first_layer(kManyFields, true, DType::f32, draw, gradient));
      EXPECT_TRUE(results.back() == results.front()) << threads << " threads";
    }
  }
  set_num_threads(before);
}

TEST(Distinct, FirstLayerOnDistinctIdsReadsAGradientInBf16) {
  const auto draw = [](const Shape& shape, uint64_t seed) { return random_uniform(shape, -1, 1, seed); };
  for (const GemmPrecision precision : precisions_here()) {
    const PrecisionScope scope(precision);
    for (const DistinctCase& c : kDistinctCases) {
      EXPECT_TRUE(first_layer(c, true, DType::f32, draw, DType::bf16) ==
                  first_layer(c, true, DType::f32, draw, DType::f32))
          << c.rows << " rows, " << c.columns << " columns";
    }
  }
}

// Sums of small whole numbers are exact in any order, and bf16 holds these numbers exactly.
TEST(Distinct, FirstLayerOnDistinctIdsRoundsOperandsInBf16) {
#if !defined(__AVX512BF16__)
  GTEST_SKIP() << "built for processors without AVX512-BF16";
#endif
  if (!has_bf16_products()) GTEST_SKIP() << "no bf16 products here";
  const auto any = [](const Shape& shape, uint64_t seed) { return random_uniform(shape, -1, 1, seed); };
  const DistinctResult exact = first_layer(kManyFields, false, DType::f32, whole_numbers),
                       fp32 = first_layer(kManyFields, true, DType::f32, any);
  const PrecisionScope scope(GemmPrecision::bf16);
  EXPECT_TRUE(first_layer(kManyFields, true, DType::f32, whole_numbers) == exact);
  const DistinctResult rounded = first_layer(kManyFields, true, DType::f32, any);
  expect_near(rounded.y, fp32.y, 0.2);
  expect_near(rounded.tables, fp32.tables, 2.0);
  expect_near(rounded.weight, fp32.weight, 2.0);
  const auto differ = [](const V& a, const V& b) {
    int64_t count = 0;
    for (size_t i = 0; i < a.size(); ++i) count += std::abs(a[i] - b[i]) > 1e-4;
    return count;
  };
  EXPECT_GT(differ(rounded.y, fp32.y), 1000) << "nothing was rounded";
  EXPECT_GT(differ(rounded.tables, fp32.tables), 1000) << "nothing was rounded";
  EXPECT_GT(differ(rounded.weight, fp32.weight), 1000) << "nothing was rounded";
}

}  // namespace
}  // namespace kdef::ops
