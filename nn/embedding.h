// Embedding tables over the fields of a data set.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/module.h"
#include "ops/embedding.h"
#include "ops/fused/distinct.h"

namespace kdef::nn {

/// One input field of an embedding.
struct EmbeddingField {
  using Kind = ops::EmbedField::Kind;
  std::string name;
  Kind kind = Kind::id;
  int64_t vocab_size = 0;   // rows of the table, row 0 is padding; unused by numeric fields
  int64_t max_len = 1;      // ids in a row: 1 unless the kind is average or sum
  int64_t dim = 0;          // 0: the tables' common dimension
  std::string shared;       // the name of an earlier field whose table it uses; empty: a new table
  int64_t column = -1;      // its first column in the batch's ids or values; -1: the column after the field before it
  double deviation = 1e-4;  // standard deviation of the initial values of its table
  std::string source;       // the group of columns that it belongs to: user, item, context or another word
};

/// The fields with their columns filled in. Tables over some of these fields read the right columns of the same batch.
std::vector<EmbeddingField> with_columns(std::vector<EmbeddingField> fields);

/// A batch for a first linear layer that works on distinct ids (ops/fused/distinct.h).
struct DistinctFields {
  ops::DistinctIds ids;
  Tensor rows;   // [U, D] of the fields with few distinct ids
  Tensor dense;  // [B, (F - chosen) D] of the other fields; undefined if there are none
  int64_t fields = 0;
};

/// Size of the embeddings that a network reads, and the fields behind them.
struct EmbeddingShape {
  int64_t fields = 0;                // F
  int64_t dim = 0;                   // D, the dimension of all fields; 0 if they have different ones
  int64_t width = 0;                 // numbers in a row: the sum of the fields' dimensions
  std::vector<EmbeddingField> list;  // with columns, for further tables of a network; empty if the embeddings are given
};

/// Embeddings of a batch: ids i32 [B, C], the fields' columns in field order; values [B, N] of the numeric fields in
/// their order. The result is [B, F, D], or [B, sum of dims] where fields have different dimensions.
/// Tables start normal (EmbeddingField::deviation) with a zero row 0; a numeric field is a Linear(1, D) without bias.
/// Names: embedding_layer.embedding_layers.FIELD.weight.
class EmbeddingTables final : public Module {
 public:
  /// Where no network reads these tables (`read` is false), there are none: the object describes the batch only, and
  /// forward() throws.
  EmbeddingTables(const std::vector<EmbeddingField>& fields, int64_t dim, Builder& build, bool read = true);
  /// `fused` reads all fields in one op; otherwise primitive ops compute the same, to be read and compared.
  Tensor forward(const Tensor& ids, const Tensor& values, bool fused = true) const;

  /// The same batch by distinct ids: of the fields that have few enough of them for `limits`. Nothing where no field
  /// has, or where the fields have different dimensions.
  std::optional<DistinctFields> distinct(const Tensor& ids, const Tensor& values,
                                         const ops::DistinctLimits& limits) const;

  /// What a network over these tables is built for.
  const EmbeddingShape& shape() const { return shape_; }
  /// Columns of ids / values up to the last one that a field reads.
  int64_t id_columns() const { return id_columns_; }
  int64_t value_columns() const { return value_columns_; }
  Device device() const { return device_; }

 private:
  Tensor composed(const Tensor& ids, const Tensor& values, size_t field) const;

  // The table of a field, which is made unless the field shares an earlier one; its number.
  int add_table(const EmbeddingField& field, int64_t dim, Builder& build);
  bool uniform() const { return shape_.dim > 0; }

  Device device_;
  bool read_;
  EmbeddingShape shape_;
  std::vector<ops::EmbedField> fields_;
  std::vector<Tensor> tables_;
  int64_t id_columns_ = 0, value_columns_ = 0;
};

}  // namespace kdef::nn
