// Embedding tables: rows looked up by id, with gradients by rows. Row 0 of a table may be padding: it is read like any
// other row, and gets no gradient.
#pragma once

#include <vector>

#include "core/tensor/dispatch.h"
#include "core/tensor/tape.h"

namespace kdef::ops {

extern const OpInfo kEmbeddingInfo, kPoolInfo, kEmbedFieldsInfo;

/// y[.., :] = table[ids[..], :]: table [R, D], ids i32 or i64 of any shape. The gradient is a RowGradient:
/// for every distinct id, the sum of dy over the positions that hold it, in their order. With `padding`, id 0
/// gets none.
Tensor embedding(const Tensor& table, const Tensor& ids, bool padding);

enum class PoolMode { average, sum };
/// The average or the sum of x [B, L, D] over the positions l with ids[b, l] != 0 -> [B, D]. It is 0 for a row without
/// such a position.
Tensor pool_sequence(const Tensor& x, const Tensor& ids, PoolMode mode);

/// How one field of a batch becomes D numbers.
struct EmbedField {
  enum class Kind { id, average, sum, numeric };
  Kind kind = Kind::id;
  int table = 0;       // index into the tables; several fields may share one
  int64_t column = 0;  // first column in the ids (numeric: in the values)
  int64_t count = 1;   // ids in the row
};

/// The attributes that describe the fields to an exporter: kinds, tables, columns and counts, each with one element per
/// field.
Attributes field_attributes(const std::vector<EmbedField>& fields);

/// The fused lookup of all fields at once: tables [R_t, D] (numeric: [D, 1]), ids i32 [B, C], values [B, N]
/// for numeric fields (undefined if there are none) -> [B, F, D]. The result has the numbers of embedding,
/// pool_sequence and stack one after the other.
/// Throws an error that names the row and the field if an id is outside its table.
Tensor embed_fields(const std::vector<Tensor>& tables, const Tensor& ids, const Tensor& values,
                    const std::vector<EmbedField>& fields);

KDEF_KERNEL(void, embed_forward, const std::vector<Tensor>& tables, const Tensor& ids, const Tensor& values,
            const std::vector<EmbedField>& fields, const Tensor& y)
/// Returns one gradient per table: by rows for a table of ids, dense for a numeric field.
KDEF_KERNEL(std::vector<Gradient>, embed_backward, const std::vector<Shape>& tables, const std::vector<bool>& needs,
            const Tensor& ids, const Tensor& values, const std::vector<EmbedField>& fields, const Tensor& dy)
KDEF_KERNEL(void, gather_rows, const Tensor& table, const Tensor& ids, const Tensor& y)
KDEF_KERNEL(RowGradient, sum_by_id, const Tensor& ids, const Tensor& dy, int64_t rows, bool padding)
KDEF_KERNEL(void, pool_forward, const Tensor& x, const Tensor& ids, bool average, const Tensor& y)
KDEF_KERNEL(void, pool_backward, const Tensor& dy, const Tensor& ids, bool average, const Tensor& dx)

}  // namespace kdef::ops
