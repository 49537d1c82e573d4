// The first linear layer over embedded ids, at the cost of the batch's distinct ids instead of its rows.
//
// The ids of a field repeat within a batch: most fields of a click log have far fewer distinct ids than the batch has
// rows. So with e(id) the embedding, W_f the columns of the weight that read field f,
//   y_b = sum_f W_f e_f(id_bf) + bias
// W_f e is computed once per distinct id, and the rows add up the results. Backward, the gradient of y is summed by id
// first and then multiplied. The result differs from the plain product in the order of sums only. In bf16 the CPU
// rounds the operands of these products, as it rounds those of the plain product. Fields with many distinct ids go
// through the plain product.
#pragma once

#include <vector>

#include "core/tensor/dispatch.h"
#include "core/tensor/tape.h"
#include "ops/embedding.h"

namespace kdef::ops {

extern const OpInfo kEmbedDistinctInfo, kDistinctLinearInfo;

/// One look-up that the CPU does per row of the batch. It reads the ids of one field; or, for several fields with few
/// ids, the combinations of their ids that occur in the batch. The parts of a combination are added up beforehand.
struct Lookup {
  std::vector<size_t> members;  // positions in DistinctIds::fields
  int64_t count = 0;            // of ids or combinations
  Tensor index;                 // i32 [B]: which one a row has
  std::vector<Tensor> parts;    // of combinations: per member i32 [count], which of its ids
};

/// The distinct ids of the chosen fields of a batch, and where its rows find them. The tensors are on the device of the
/// batch, except those of look-ups.
struct DistinctIds {
  std::vector<size_t> fields;   // chosen, ascending
  std::vector<int64_t> first;   // [fields + 1]: field i has the stacked rows [first[i], first[i + 1])
  Tensor ids;                   // i64 [U], ascending within a field
  std::vector<bool> padding;    // [fields]: the field's first id is 0
  Tensor index;                 // i32 [fields, B]: which of the field's ids a row has
  int64_t capacity = 0;         // upper bound of U for batches of this size: memory is reserved for so many rows
  std::vector<Lookup> lookups;  // ascending by the number of ids or combinations; on the CPU only
};

/// Which fields are chosen: those with one id per row, whose table has at most `max_rows` rows, and whose ids in the
/// batch are at most `max_ids` distinct ones. Fields share a look-up if their ids have at most `max_combinations`
/// possible combinations.
struct DistinctLimits {
  int64_t max_rows, max_ids, max_combinations;
  /// Limits that save time on a CPU for a batch of `rows` (measured; docs/performance.md). For training only: a
  /// prediction must not depend on the rows of its batch.
  static DistinctLimits for_batch(int64_t rows);
};

/// Chooses fields of the batch `ids` (i32 [B, C]). `table_rows` holds the rows of each table that a field names. The
/// host chooses: ids on another device are copied to the host, which waits for them. So a recorded step cannot contain
/// this.
DistinctIds distinct_ids(const Tensor& ids, const std::vector<EmbedField>& fields,
                         const std::vector<int64_t>& table_rows, const DistinctLimits& limits);

/// The distinct rows, stacked: tables [R_t, D] -> [U, D]. Id 0 is padding: read as it is, without a gradient.
Tensor embed_distinct(const std::vector<Tensor>& tables, const std::vector<EmbedField>& fields,
                      const DistinctIds& distinct);

/// y = sum over the chosen fields f of rows[index[b, f]] W[:, f D .. (f + 1) D]^T + dense W[:, the other columns]^T +
/// bias: rows [U, D], dense [B, (F - chosen) D] of the other fields in their order (undefined if all are chosen),
/// weight [N, F D], bias [N] or undefined -> [B, N]. `fields` is F.
Tensor distinct_linear(const Tensor& rows, const Tensor& dense, const DistinctIds& distinct, int64_t fields,
                       const Tensor& weight, const Tensor& bias);

namespace cpu {
/// Whether the CPU rounds the operands of the chosen fields' products to bf16: it does where the plain product of
/// `batch` rows would round them, rows of a table have as many numbers as a vector register, and the processor
/// multiplies pairs of bf16 numbers. Otherwise these products stay in fp32 (dy may arrive in bf16 all the same).
bool rounds_distinct(int64_t batch, const Tensor& weight, int64_t d);
}  // namespace cpu
/// y += the part of the chosen fields; or, where a bias is given, y = bias + the part of the chosen fields.
KDEF_KERNEL(void, distinct_forward, const Tensor& rows, const DistinctIds& distinct, const Tensor& weight,
            const Tensor& bias, const Tensor& y)
/// Writes the chosen fields' columns of dweight, drows, and dbias; each may be undefined. On the CPU dy may be bf16.
KDEF_KERNEL(void, distinct_backward, const Tensor& rows, const DistinctIds& distinct, const Tensor& weight,
            const Tensor& dy, const Tensor& drows, const Tensor& dweight, const Tensor& dbias)

}  // namespace kdef::ops
