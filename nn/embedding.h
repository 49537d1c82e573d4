// Embedding tables over the fields of a data set.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/module.h"
#include "ops/fused/distinct.h"

namespace kdef::nn {

/// One input field, as an embedding sees it.
struct EmbeddingField {
  enum class Kind { categorical, sequence_average, sequence_sum, numeric };
  std::string name;
  Kind kind = Kind::categorical;
  int64_t vocab_size = 0;  // rows of the table, row 0 padding; numeric: unused
  int64_t max_len = 1;     // ids in a row
  int64_t dim = 0;         // 0: the tables' common dimension
  std::string shared;      // name of an earlier field whose table it uses; empty: its own
};

/// A batch for a first linear layer that works on distinct ids (ops/fused/distinct.h).
struct SplitEmbedding {
  ops::DistinctIds distinct;
  Tensor rows;   // [U, D] of the fields with few distinct ids
  Tensor dense;  // [B, (F - chosen) D] of the others; undefined without any
  int64_t fields = 0;
};

/// Looks up a batch: ids i32 [B, C], the fields' columns in field order; values [B, N] of the numeric fields in their
/// order. Result [B, F, D]; [B, sum of dims] where fields have different dimensions.
/// Tables are normal with standard deviation 1e-4 and a zero row 0; a numeric field is a Linear(1, D) without bias.
/// Names: embedding_layer.embedding_layers.FIELD.weight.
class EmbeddingTables final : public Module {
 public:
  EmbeddingTables(const std::vector<EmbeddingField>& fields, int64_t dim, Builder& build);
  /// `fused` looks all fields up at once; otherwise the same from primitive ops, to read and to compare.
  Tensor forward(const Tensor& ids, const Tensor& values, bool fused = true) const;

  /// The same batch split by `limits`; nothing where no field has few enough distinct ids, or dimensions differ.
  std::optional<SplitEmbedding> split(const Tensor& ids, const Tensor& values, const ops::DistinctLimits& limits) const;

  int64_t field_count() const { return static_cast<int64_t>(fields_.size()); }
  /// Numbers per row of the result: the sum of the fields' dimensions.
  int64_t width() const { return width_; }
  /// The common dimension of all fields; 0 if they differ.
  int64_t dim() const { return uniform_ ? dim_ : 0; }
  int64_t id_columns() const { return id_columns_; }
  int64_t value_columns() const { return value_columns_; }
  Device device() const { return tables_[0].device(); }

 private:
  Tensor composed(const Tensor& ids, const Tensor& values, size_t field) const;

  std::vector<ops::EmbedField> fields_;
  std::vector<Tensor> tables_;
  int64_t dim_ = 0, width_ = 0, id_columns_ = 0, value_columns_ = 0;
  bool uniform_ = true;
};

}  // namespace kdef::nn
