#include "nn/embedding.h"

#include <algorithm>
#include <map>

#include "ops/layout.h"
#include "ops/linear.h"

namespace kdef::nn {

EmbeddingTables::EmbeddingTables(const std::vector<EmbeddingField>& fields, int64_t dim, Builder& build) : dim_(dim) {
  using Kind = EmbeddingField::Kind;
  KDEF_CHECK(!fields.empty(), "embedding: no fields");
  std::map<std::string, int> tables;
  for (const EmbeddingField& f : fields) {
    const int64_t d = f.dim > 0 ? f.dim : dim;
    KDEF_CHECK(d > 0, "embedding: dimension of field '", f.name, "' must be positive");
    uniform_ = uniform_ && d == dim;
    width_ += d;
    const bool numeric = f.kind == Kind::numeric;
    ops::EmbedField field;
    if (!f.shared.empty()) {
      const auto it = tables.find(f.shared);
      KDEF_CHECK(it != tables.end(), "embedding: field '", f.name, "' shares the table of '", f.shared,
                 "', which is not an earlier field");
      field.table = it->second;
      KDEF_CHECK(tables_[static_cast<size_t>(field.table)].shape()[1] == d, "embedding: field '", f.name,
                 "' shares a table of another dimension");
    } else {
      KDEF_CHECK(numeric || f.vocab_size > 0, "embedding: vocabulary of field '", f.name, "' is empty");
      Tensor t = numeric ? build.xavier_normal(d, 1) : build.normal({f.vocab_size, d}, 1e-4);
      if (!numeric) t.rows(0, 1).fill(0);
      field.table = static_cast<int>(tables_.size());
      tables_.push_back(add_parameter("embedding_layer.embedding_layers." + f.name + ".weight", t, true));
    }
    tables[f.name] = field.table;
    field.kind = numeric                            ? ops::EmbedField::Kind::numeric
                 : f.kind == Kind::categorical      ? ops::EmbedField::Kind::id
                 : f.kind == Kind::sequence_average ? ops::EmbedField::Kind::average
                                                    : ops::EmbedField::Kind::sum;
    field.count = numeric ? 1 : f.max_len;
    int64_t& next = numeric ? value_columns_ : id_columns_;
    field.column = next;
    next += field.count;
    fields_.push_back(field);
  }
}

Tensor EmbeddingTables::forward(const Tensor& ids, const Tensor& values, bool fused) const {
  if (fused && uniform_) return ops::embed_fields(tables_, ids, values, fields_);
  std::vector<Tensor> parts;
  for (size_t f = 0; f < fields_.size(); ++f) {
    if (fused) {
      ops::EmbedField field = fields_[f];
      const Tensor& table = tables_[static_cast<size_t>(field.table)];
      field.table = 0;
      const Tensor e = ops::embed_fields({table}, ids, values, {field});
      parts.push_back(ops::reshape(e, {e.shape()[0], e.shape()[2]}));
    } else {
      parts.push_back(composed(ids, values, f));
    }
  }
  return uniform_ ? ops::stack(parts, 1) : ops::concat(parts, 1);
}

std::optional<SplitEmbedding> EmbeddingTables::split(const Tensor& ids, const Tensor& values,
                                                     const ops::DistinctLimits& limits) const {
  if (!uniform_ || !ids.defined()) return std::nullopt;
  std::vector<int64_t> table_rows;
  for (const Tensor& table : tables_) table_rows.push_back(table.shape()[0]);
  SplitEmbedding out;
  out.distinct = ops::distinct_ids(ids, fields_, table_rows, limits);
  if (out.distinct.fields.empty()) return std::nullopt;
  out.fields = field_count();
  out.rows = ops::embed_distinct(tables_, fields_, out.distinct);
  std::vector<ops::EmbedField> others;
  for (size_t f = 0; f < fields_.size(); ++f) {
    if (!std::binary_search(out.distinct.fields.begin(), out.distinct.fields.end(), f)) others.push_back(fields_[f]);
  }
  if (!others.empty()) {
    const Tensor e = ops::embed_fields(tables_, ids, values, others);
    out.dense = ops::reshape(e, {e.shape()[0], e.shape()[1] * e.shape()[2]});
  }
  return out;
}

Tensor EmbeddingTables::composed(const Tensor& ids, const Tensor& values, size_t f) const {
  using Kind = ops::EmbedField::Kind;
  const ops::EmbedField& field = fields_[f];
  const Tensor& table = tables_[static_cast<size_t>(field.table)];
  if (field.kind == Kind::numeric) return ops::linear(ops::slice(values, 1, field.column, 1), table, {});
  const Tensor block = ops::slice(ids, 1, field.column, field.count);
  const Tensor e = ops::embedding(table, block, true);
  if (field.kind == Kind::id) return ops::reshape(e, {e.shape()[0], e.shape()[2]});
  return ops::pool_sequence(e, block, field.kind == Kind::average ? ops::PoolMode::average : ops::PoolMode::sum);
}

}  // namespace kdef::nn
