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
  int64_t held_rows =
      0;  // the model holds this many rows of the table, those of a batch (nn/optimizer/divided_tables.h); 0: all

  /// Vectors that were trained elsewhere, for the ids of the table (Pretrained::dim > 0).
  struct Pretrained {
    enum class Usage { init, sum, concat };
    int64_t dim = 0;     // of a vector
    bool frozen = true;  // they are not trained
    Usage usage = Usage::init;
    int64_t known = 0;  // ids below this have been trained; 0: all
  };
  Pretrained pretrained = {};
  std::string source;  // the group of columns that it belongs to: user, item, context or another word
  int64_t linear = 0;  // behind the embedding, a linear layer without bias of this width; 0: there is none
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
/// The ids of a field with pretrained vectors v read, as in FuxiCTR (pretrained_embedding.py), with W a projection and
/// i an embedding by id:
///   init: v, or W v where v has another dimension;  sum: the same + i;  concat: W [v, i].
/// i, and v unless it is frozen, is 0 for ids that no training row has. A sequence pools v and i, then projects them.
/// Vectors start as 0 where frozen, else as a table does; their owner fills them in (kdef/run/pretrained.h).
/// With EmbeddingField::linear, the embedding e of a field, pooled where it is a sequence, becomes L e.
/// Names: embedding_layer.embedding_layers.FIELD.weight; with pretrained vectors FIELD.pretrain_embedding.weight, a
/// buffer where frozen, FIELD.id_embedding.weight and FIELD.proj.weight. L is
/// embedding_layer.feature_encoders.FIELD.weight, and FIELD.1.weight behind a pooling, as FuxiCTR has them.
class EmbeddingTables final : public Module {
 public:
  /// Where no network reads these tables (`read` is false), there are none: the object describes the batch only, and
  /// forward() throws.
  EmbeddingTables(const std::vector<EmbeddingField>& fields, int64_t dim, Builder& build, bool read = true);
  /// `fused_ops`: all fields are read in one op, if none has a layer behind it; otherwise primitive ops compute the
  /// same, to be read and compared.
  Tensor forward(const Tensor& ids, const Tensor& values, bool fused_ops = true) const;

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
  // What a table of pretrained vectors has beside the vectors.
  struct Beside {
    bool used = false;
    bool frozen = true;
    EmbeddingField::Pretrained::Usage usage = EmbeddingField::Pretrained::Usage::init;
    Tensor ids;         // [V, D], of sum and concat
    Tensor projection;  // undefined: none
    Tensor known;       // [V, 1]: 1, and 0 for ids that are not known; undefined: all are
  };
  Tensor composed(const Tensor& ids, const Tensor& values, size_t field) const;
  Tensor pretrained(const Tensor& ids, size_t field) const;
  Tensor add_pretrained(const EmbeddingField& field, int64_t dim, Builder& build, Beside& beside);
  bool any_pretrained() const;
  Tensor fused(const Tensor& ids, const Tensor& values, size_t field) const;
  // Whether one op can read all fields.
  bool plain() const { return uniform() && !encodes_ && !any_pretrained(); }

  // The layer behind the embedding of a field; undefined where it has none.
  Tensor add_encoder(const EmbeddingField& field, int64_t dim, Builder& build);
  // The table of a field, which is made unless the field shares an earlier one; its number.
  int add_table(const EmbeddingField& field, int64_t dim, Builder& build);
  bool uniform() const { return shape_.dim > 0; }

  Device device_;
  bool read_;
  EmbeddingShape shape_;
  std::vector<ops::EmbedField> fields_;
  std::vector<Tensor> tables_;
  std::vector<std::shared_ptr<const TableRows>>
      rows_;                      // by table; null where its rows are no ids, or vectors are given
  std::vector<Beside> beside_;    // by table
  std::vector<Tensor> encoders_;  // W [D, D] of a field; undefined: none
  bool encodes_ = false;          // a field has one
  int64_t id_columns_ = 0, value_columns_ = 0;
};

}  // namespace kdef::nn
