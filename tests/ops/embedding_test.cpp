// Look-ups and pooling.
#include "ops/embedding.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/ops/values.h"

namespace kdef::ops {
namespace {

TEST(Embedding, EmbeddingNamesAnIdThatIsOutside) {
  const Tensor table = Tensor::zeros({3, 2}, DType::f64);
  try {
    embedding(table, Tensor::from<int32_t>({1, 3}, {2}), true);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("id 3"), std::string::npos) << e.what();
  }
  EXPECT_THROW(embed_fields({table}, Tensor::from<int32_t>({-1}, {1, 1}), {}, {{}}), Error);
}

TEST(Embedding, PoolingIgnoresPadding) {
  const Tensor x = t({1, 2, 3, 4, 5, 6}, {1, 3, 2});
  const Tensor ids = Tensor::from<int32_t>({7, 0, 9}, {1, 3}), none = Tensor::from<int32_t>({0, 0, 0}, {1, 3});
  expect_near(values(pool_sequence(x, ids, PoolMode::average)), {3, 4});
  expect_near(values(pool_sequence(x, ids, PoolMode::sum)), {6, 8});
  expect_near(values(pool_sequence(x, none, PoolMode::average)), {0, 0});
}

}  // namespace
}  // namespace kdef::ops
