#include "nn/embedding.h"

#include <gtest/gtest.h>

#include "ops/check/gradcheck.h"

namespace kdef::nn {
namespace {

TEST(EmbeddingTables, FusedAgreesWithComposed) {
  using Kind = EmbeddingField::Kind;
  for (const int64_t dim_of_b : {0, 5}) {
    Builder build(7, DType::f64);
    const EmbeddingTables tables({{"a", Kind::id, 6, 1, 0, ""},
                                  {"b", Kind::average, 6, 3, dim_of_b, ""},
                                  {"c", Kind::sum, 6, 2, 0, "a"},
                                  {"d", Kind::numeric, 0, 1, 0, ""}},
                                 4, build);
    const Tensor ids = Tensor::from<int32_t>({1, 2, 0, 0, 5, 1, 0, 0, 0, 0, 0, 0, 3, 4, 5, 1, 2, 2}, {3, 6});
    const Tensor values = ops::random_uniform({3, 1}, -1, 1, 3);
    const Tensor fused = tables.forward(ids, values, true), composed = tables.forward(ids, values, false);
    EXPECT_EQ(fused.shape(), composed.shape());
    EXPECT_EQ(fused.shape(), dim_of_b ? (Shape{3, 17}) : (Shape{3, 4, 4}));
    const auto x = fused.to_vector<double>(), y = composed.to_vector<double>();
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 1e-18);
  }
}

}  // namespace
}  // namespace kdef::nn
