#include "nn/embedding.h"

#include <gtest/gtest.h>

#include <map>

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

// A field with pretrained vectors: ids 1 and 2 are words of the training rows, 3 is unknown, 4 and 5 are words of the
// table alone.
struct WithVectors {
  using Pretrained = EmbeddingField::Pretrained;
  static constexpr int64_t kRows = 6, kKnown = 4, kDim = 3;

  WithVectors(EmbeddingField::Kind of, int64_t length, Pretrained p) : kind(of), pretrained(p) {
    Builder build(3, DType::f64);
    pretrained.known = kKnown;
    EmbeddingField field{"a", kind, kRows, length, 0, ""};
    field.pretrained = pretrained;
    tables = std::make_unique<EmbeddingTables>(std::vector<EmbeddingField>{field}, kDim, build);
    for (const Parameter& parameter : tables->parameters()) tensors.emplace(parameter.name, parameter.tensor);
    for (const Buffer& buffer : tables->buffers()) tensors.emplace(buffer.name, buffer.tensor);
    Tensor vectors = at("pretrain_embedding");
    const Tensor drawn = ops::random_uniform(vectors.shape(), -1, 1, 5);
    vectors.copy_from(drawn);
    vectors.rows(0, 1).fill(0);
    if (has("id_embedding")) {
      Tensor known = at("id_embedding").rows(1, 2);
      known.copy_from(ops::random_uniform({2, kDim}, -1, 1, 6));
    }
  }
  bool has(const std::string& name) const { return tensors.count(full(name)) != 0; }
  Tensor at(const std::string& name) const { return tensors.at(full(name)); }
  static std::string full(const std::string& name) { return "embedding_layer.embedding_layers.a." + name + ".weight"; }

  // Row `id` of a table, 0 where it is not known and that matters.
  std::vector<double> row(const std::string& name, int32_t id) const {
    const std::vector<double> all = at(name).to_vector<double>();
    const int64_t width = at(name).shape()[1];
    const bool zero = id >= kKnown && (name == "id_embedding" || !pretrained.frozen);
    std::vector<double> values(all.begin() + id * width, all.begin() + (id + 1) * width);
    if (zero) std::fill(values.begin(), values.end(), 0.0);
    return values;
  }
  std::vector<double> pooled(const std::string& name, const std::vector<int32_t>& ids) const {
    std::vector<double> sum(static_cast<size_t>(at(name).shape()[1]));
    double count = 0;
    for (const int32_t id : ids) {
      if (id == 0) continue;
      ++count;
      const std::vector<double> values = row(name, id);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
    }
    if (kind == EmbeddingField::Kind::average && count > 0) {
      for (double& x : sum) x /= count;
    }
    return sum;
  }
  // The embedding of a row of ids by the formula of nn/embedding.h.
  std::vector<double> expected(const std::vector<int32_t>& ids) const {
    using Usage = Pretrained::Usage;
    std::vector<double> v = pooled("pretrain_embedding", ids), i(kDim);
    if (has("id_embedding")) i = pooled("id_embedding", ids);
    if (pretrained.usage == Usage::concat) v.insert(v.end(), i.begin(), i.end());
    std::vector<double> e = v;
    if (has("proj")) {
      const std::vector<double> w = at("proj").to_vector<double>();
      e.assign(kDim, 0);
      for (size_t d = 0; d < e.size(); ++d) {
        for (size_t k = 0; k < v.size(); ++k) e[d] += w[d * v.size() + k] * v[k];
      }
    }
    for (size_t d = 0; d < e.size() && pretrained.usage == Usage::sum; ++d) e[d] += i[d];
    return e;
  }

  EmbeddingField::Kind kind;
  Pretrained pretrained;
  std::unique_ptr<EmbeddingTables> tables;
  std::map<std::string, Tensor> tensors;
};

TEST(EmbeddingTables, PretrainedVectorsFollowTheFormula) {
  using Kind = EmbeddingField::Kind;
  using Pretrained = EmbeddingField::Pretrained;
  for (const Kind kind : {Kind::id, Kind::average, Kind::sum}) {
    for (const auto usage : {Pretrained::Usage::init, Pretrained::Usage::sum, Pretrained::Usage::concat}) {
      for (const bool frozen : {false, true}) {
        for (const int64_t dim : {3, 2}) {
          SCOPED_TRACE(::testing::Message() << static_cast<int>(kind) << static_cast<int>(usage) << frozen << dim);
          const int64_t length = kind == Kind::id ? 1 : 3;
          const WithVectors w(kind, length, {dim, frozen, usage, 0});
          const std::vector<int32_t> cells = kind == Kind::id
                                                 ? std::vector<int32_t>{1, 2, 3, 4, 5}
                                                 : std::vector<int32_t>{1, 2, 0, 4, 1, 3, 0, 0, 0, 5, 5, 2};
          const int64_t rows = static_cast<int64_t>(cells.size()) / length;
          const Tensor ids = Tensor::from(cells, {rows, length});
          const std::vector<double> e = w.tables->forward(ids, {}).to_vector<double>();
          ASSERT_EQ(e.size(), static_cast<size_t>(rows * WithVectors::kDim));
          for (int64_t r = 0; r < rows; ++r) {
            const std::vector<double> expected =
                w.expected({cells.begin() + r * length, cells.begin() + (r + 1) * length});
            for (size_t d = 0; d < expected.size(); ++d) {
              EXPECT_NEAR(e[static_cast<size_t>(r * WithVectors::kDim) + d], expected[d], 1e-15);
            }
          }
          // Frozen vectors are no parameters; of the others ids that are not known, and padding, have no gradient.
          EXPECT_EQ(w.has("proj"), dim != WithVectors::kDim || usage == Pretrained::Usage::concat);
          std::vector<Tensor> leaves;
          for (const Parameter& parameter : w.tables->parameters()) leaves.push_back(parameter.tensor);
          EXPECT_EQ(w.tables->buffers().size(), frozen ? 1u : 0u);
          if (leaves.empty()) continue;
          const ops::GradientReport report = ops::check_leaves(leaves, [&] { return w.tables->forward(ids, {}); });
          EXPECT_TRUE(report.passed()) << report.worst;
        }
      }
    }
  }
}

TEST(EmbeddingTables, LinearLayersBehindEmbeddings) {
  using Kind = EmbeddingField::Kind;
  Builder build(7, DType::f64);
  EmbeddingField a{.name = "a", .kind = Kind::id, .vocab_size = 6, .deviation = 1, .linear = 3},
      b{.name = "b", .kind = Kind::average, .vocab_size = 6, .max_len = 2, .deviation = 1, .linear = 3},
      c{.name = "c", .kind = Kind::numeric};
  const EmbeddingTables tables({a, b, c}, 3, build);
  std::vector<std::string> names;
  for (const Parameter& p : tables.parameters()) {
    names.push_back(p.name);
    EXPECT_TRUE(p.embedding) << p.name << " has the regularizer of embeddings, as in FuxiCTR";
  }
  EXPECT_EQ(names, (std::vector<std::string>{
                       "embedding_layer.embedding_layers.a.weight", "embedding_layer.feature_encoders.a.weight",
                       "embedding_layer.embedding_layers.b.weight", "embedding_layer.feature_encoders.b.1.weight",
                       "embedding_layer.embedding_layers.c.weight"}));
  const Tensor ids = Tensor::from<int32_t>({1, 2, 3, 4, 5, 0}, {2, 3}), values = ops::random_uniform({2, 1}, -1, 1, 3);
  const auto x = tables.forward(ids, values, true).to_vector<double>();
  const auto y = tables.forward(ids, values, false).to_vector<double>();
  const auto parameters = tables.parameters();
  const auto table = parameters[0].tensor.to_vector<double>(), w = parameters[1].tensor.to_vector<double>();
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 1e-15);
  for (size_t d = 0; d < 3; ++d) {  // field a of the first row: W e, e row 1 of its table
    EXPECT_NEAR(x[d], w[3 * d] * table[3] + w[3 * d + 1] * table[4] + w[3 * d + 2] * table[5], 1e-15);
  }
  EXPECT_FALSE(tables.distinct(ids, values, ops::DistinctLimits::for_batch(2)).has_value());
  EXPECT_THROW(EmbeddingTables({a}, 4, build), InputError);
}

}  // namespace
}  // namespace kdef::nn
