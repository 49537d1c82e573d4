#include "nn/embedding.h"

#include <algorithm>

#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"

namespace kdef::nn {

std::vector<EmbeddingField> with_columns(std::vector<EmbeddingField> fields) {
  int64_t next_id = 0, next_value = 0;
  for (EmbeddingField& field : fields) {
    const bool numeric = field.kind == EmbeddingField::Kind::numeric;
    int64_t& next = numeric ? next_value : next_id;
    if (field.column < 0) field.column = next;
    next = field.column + (numeric ? 1 : field.max_len);
  }
  return fields;
}

EmbeddingTables::EmbeddingTables(const std::vector<EmbeddingField>& fields, int64_t dim, Builder& build, bool read)
    : device_(build.device()), read_(read) {
  KDEF_CHECK(!fields.empty(), "embedding: no fields");
  bool uniform = true;
  shape_.list = with_columns(fields);
  shape_.fields = static_cast<int64_t>(fields.size());
  for (const EmbeddingField& f : shape_.list) {
    const int64_t d = f.dim > 0 ? f.dim : dim;
    KDEF_CHECK(d > 0, "embedding: dimension of field '", f.name, "' must be positive");
    uniform = uniform && d == dim;
    shape_.width += d;
    ops::EmbedField field;
    field.table = read ? add_table(f, d, build) : -1;
    const bool numeric = f.kind == EmbeddingField::Kind::numeric;
    field.kind = f.kind;
    field.count = numeric ? 1 : f.max_len;
    field.column = f.column;
    int64_t& columns = numeric ? value_columns_ : id_columns_;
    columns = std::max(columns, field.column + field.count);
    fields_.push_back(field);
    encoders_.push_back(read ? add_encoder(f, d, build) : Tensor());
    encodes_ = encodes_ || encoders_.back().defined();
  }
  shape_.dim = uniform ? dim : 0;
}

int EmbeddingTables::add_table(const EmbeddingField& field, int64_t dim, Builder& build) {
  if (!field.shared.empty()) {
    // fields_ has the fields before this one.
    for (size_t f = 0; f < fields_.size(); ++f) {
      if (shape_.list[f].name != field.shared) continue;
      const int table = fields_[f].table;
      const Beside& beside = beside_[static_cast<size_t>(table)];
      const Tensor& projection = beside.projection;  // makes an embedding of the table's vectors
      const int64_t own = projection.defined() ? projection.shape()[0] : tables_[static_cast<size_t>(table)].shape()[1];
      if (own != dim) {
        throw InputError(cat("field '", field.name, "' shares the table of field '", field.shared,
                             "', whose dimension is ", own, ", not ", dim, "; give both the same embedding_dim"));
      }
      return table;
    }
    throw Error(cat("embedding: field '", field.name, "' shares the table of '", field.shared,
                    "', which is not an earlier field"));
  }
  const bool numeric = field.kind == EmbeddingField::Kind::numeric;
  KDEF_CHECK(numeric || field.vocab_size > 0, "embedding: vocabulary of field '", field.name, "' is empty");
  beside_.emplace_back();
  rows_.emplace_back();
  if (field.pretrained.dim > 0) {
    tables_.push_back(add_pretrained(field, dim, build, beside_.back()));
    return static_cast<int>(tables_.size()) - 1;
  }
  const std::string name = "embedding_layer.embedding_layers." + field.name + ".weight";
  if (numeric) {
    tables_.push_back(add_parameter(name, build.xavier_normal(dim, 1), true));
    return static_cast<int>(tables_.size()) - 1;
  }
  rows_.back() =
      std::make_shared<const TableRows>(TableRows{field.vocab_size, field.column, build.next_normal(field.deviation)});
  const int64_t held = field.held_rows > 0 ? field.held_rows : field.vocab_size;
  const Tensor t = build.normal({held, dim}, field.deviation);
  build.clear_rows(t, 0, 1);
  tables_.push_back(add_parameter(name, t, true, rows_.back()));
  return static_cast<int>(tables_.size()) - 1;
}

Tensor EmbeddingTables::add_pretrained(const EmbeddingField& field, int64_t dim, Builder& build, Beside& beside) {
  using Usage = EmbeddingField::Pretrained::Usage;
  const EmbeddingField::Pretrained& p = field.pretrained;
  const std::string name = "embedding_layer.embedding_layers." + field.name;
  const int64_t rows = field.vocab_size, known = p.known > 0 ? p.known : rows;
  KDEF_CHECK(rows > 0 && known <= rows, "embedding: field '", field.name, "' knows ", known, " of ", rows, " ids");
  beside.used = true;
  beside.frozen = p.frozen;
  beside.usage = p.usage;
  Tensor vectors = p.frozen ? build.constant({rows, p.dim}, 0) : build.normal({rows, p.dim}, field.deviation);
  if (!p.frozen) build.clear_rows(vectors, 0, 1);
  if (p.usage != Usage::init) {
    Tensor ids = build.normal({rows, dim}, field.deviation);
    build.clear_rows(ids, 0, 1);
    build.clear_rows(ids, known - 1, rows - known + 1);  // out of vocabulary, and what no row has taught
    beside.ids = add_parameter(name + ".id_embedding.weight", ids, true);
  }
  const int64_t width = p.dim + (p.usage == Usage::concat ? dim : 0);
  if (width != dim) beside.projection = add_parameter(name + ".proj.weight", build.xavier_normal(dim, width), true);
  if (known < rows) {
    std::vector<float> ones(static_cast<size_t>(rows), 1.0f);
    std::fill(ones.begin() + known, ones.end(), 0.0f);
    beside.known = Tensor::from(ones, {rows, 1}).to(build.dtype()).to(build.device());
  }
  const std::string vectors_name = name + ".pretrain_embedding.weight";
  return p.frozen ? add_buffer(vectors_name, vectors) : add_parameter(vectors_name, vectors, true);
}

bool EmbeddingTables::any_pretrained() const {
  return std::any_of(beside_.begin(), beside_.end(), [](const Beside& beside) { return beside.used; });
}

Tensor EmbeddingTables::pretrained(const Tensor& ids, size_t f) const {
  using Kind = ops::EmbedField::Kind;
  using Usage = EmbeddingField::Pretrained::Usage;
  const ops::EmbedField& field = fields_[f];
  const Beside& beside = beside_[static_cast<size_t>(field.table)];
  const Tensor block = ops::slice(ids, 1, field.column, field.count);
  const auto read = [&](const Tensor& table, bool known_only) {
    Tensor e = ops::embedding(table, block, true);
    if (known_only && beside.known.defined()) e = ops::mul(e, ops::embedding(beside.known, block, false));
    if (field.kind == Kind::id) return ops::reshape(e, {e.shape()[0], e.shape()[2]});
    return ops::pool_sequence(e, block, field.kind == Kind::average ? ops::PoolMode::average : ops::PoolMode::sum);
  };
  Tensor e = read(tables_[static_cast<size_t>(field.table)], !beside.frozen);
  if (beside.usage == Usage::concat) e = ops::concat({e, read(beside.ids, true)}, 1);
  if (beside.projection.defined()) e = ops::linear(e, beside.projection, {});
  return beside.usage == Usage::sum ? ops::add(e, read(beside.ids, true)) : e;
}

Tensor EmbeddingTables::add_encoder(const EmbeddingField& field, int64_t dim, Builder& build) {
  if (field.linear == 0) return {};
  if (field.linear != dim) {
    throw InputError(cat("field '", field.name, "': its linear layer reads ", field.linear,
                         " numbers, and this network embeds it as ", dim));
  }
  using Kind = EmbeddingField::Kind;
  const bool is_pooled = field.kind == Kind::average || field.kind == Kind::sum;
  return add_parameter(cat("embedding_layer.feature_encoders.", field.name, is_pooled ? ".1" : "", ".weight"),
                       build.xavier_normal(dim, dim), true);
}

Tensor EmbeddingTables::forward(const Tensor& ids, const Tensor& values, bool fused_ops) const {
  KDEF_CHECK(read_, "embedding: these tables were made for networks that do not read them");
  if (fused_ops && plain()) return ops::embed_fields(tables_, ids, values, fields_);
  std::vector<Tensor> parts;
  for (size_t f = 0; f < fields_.size(); ++f) {
    const bool has_vectors = beside_[static_cast<size_t>(fields_[f].table)].used;
    const Tensor e = has_vectors ? pretrained(ids, f) : fused_ops ? fused(ids, values, f) : composed(ids, values, f);
    parts.push_back(encoders_[f].defined() ? ops::linear(e, encoders_[f], {}) : e);
  }
  return uniform() ? ops::stack(parts, 1) : ops::concat(parts, 1);
}

std::optional<DistinctFields> EmbeddingTables::distinct(const Tensor& ids, const Tensor& values,
                                                        const ops::DistinctLimits& limits) const {
  if (!read_ || !plain() || !ids.defined()) return std::nullopt;
  std::vector<int64_t> table_rows;
  for (size_t t = 0; t < tables_.size(); ++t) table_rows.push_back(rows_[t] ? rows_[t]->rows : tables_[t].shape()[0]);
  DistinctFields out;
  out.ids = ops::distinct_ids(ids, fields_, table_rows, limits);
  if (out.ids.fields.empty()) return std::nullopt;
  out.fields = shape_.fields;
  out.rows = ops::embed_distinct(tables_, fields_, out.ids);
  std::vector<ops::EmbedField> others;
  for (size_t f = 0; f < fields_.size(); ++f) {
    if (!std::binary_search(out.ids.fields.begin(), out.ids.fields.end(), f)) others.push_back(fields_[f]);
  }
  if (!others.empty()) {
    const Tensor e = ops::embed_fields(tables_, ids, values, others);
    out.dense = ops::reshape(e, {e.shape()[0], e.shape()[1] * e.shape()[2]});
  }
  return out;
}

Tensor EmbeddingTables::fused(const Tensor& ids, const Tensor& values, size_t f) const {
  ops::EmbedField field = fields_[f];
  const Tensor& table = tables_[static_cast<size_t>(field.table)];
  field.table = 0;
  const Tensor e = ops::embed_fields({table}, ids, values, {field});
  return ops::reshape(e, {e.shape()[0], e.shape()[2]});
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
