// Embedding tables that are larger than the memory of one process: every process of a group holds some of their rows
// and the optimizer's state of these rows, and trains them.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/base/group.h"
#include "nn/embedding.h"
#include "nn/module.h"

namespace kdef::nn {

/// The fields of a model whose tables hold the rows of one batch instead of all rows (EmbeddingField::held_rows), for
/// batches of at most `batch_size` rows. InputError where a field has pretrained vectors, which are not divided.
std::vector<EmbeddingField> holding_a_batch(const std::vector<EmbeddingField>& fields, int64_t batch_size);

/// Stands between the tables of such a model and the processes that own their rows (TableRows).
///
/// A batch is read in three moves. fetch() brings the rows of its distinct ids into the model's tables, in the order of
/// the ids, and numbers the ids anew: an op finds in the small table what it would find in the whole one, and does not
/// know the difference. Forward and backward give the small table a gradient by rows. return_gradients() sends these
/// rows to their owners, who add them over the processes as sum_over_group() does. Each owner then updates its rows.
///
/// All calls are collective (core/base/group.h): every member of the group makes them in the same order.
class DividedTables {
 public:
  /// `fields`: those of the model, from holding_a_batch() with this batch_size, with columns. `parameters`: the
  /// model's; those with a `table` hold a batch, all others are whole in every process. Owned rows start with the
  /// values that the whole table would have. `group` must outlive this object.
  DividedTables(const std::vector<EmbeddingField>& fields, int64_t batch_size, std::vector<Parameter> parameters,
                Group& group);

  /// The parameters of the model in their order, as this process trains and stores them: of a table, its own rows.
  const std::vector<Parameter>& owned() const { return owned_; }

  /// Brings the rows of a batch into the model's tables. `ids`: i32 [B, C], which may differ between members;
  /// undefined: this member has no batch, and answers the others. Returns the ids by their places in these tables.
  /// Throws Error, which names row and field, where an id is outside of its table.
  Tensor fetch(const Tensor& ids);

  /// Replaces the gradients of the model by those of owned(), summed over the group. The model's gradients are of the
  /// batch that was fetched last.
  void return_gradients();

  /// Brings a whole tensor, that is divided as `table` says, to the first member in bounded memory: `take` gets its
  /// rows there, piece by piece in their order. `part`: the rows of this member, [held_rows, D]. Throws
  /// OtherMemberFailed where another member does not come.
  void collect(const TableRows& table, const Tensor& part,
               const std::function<void(const void* data, size_t bytes)>& take) const;

  Group& group() const { return group_; }
  /// Rows that a batch may have.
  int64_t batch_size() const { return batch_size_; }
  /// Bytes that this process has sent to others in fetch() and return_gradients().
  int64_t bytes_sent() const { return bytes_sent_; }

 private:
  // Columns of the batch whose ids name rows of the same tables, and their distinct ids in the batch.
  struct IdColumns {
    std::string field;
    int64_t rows = 0, capacity = 0;                    // of the table; of the model's tables
    std::vector<std::pair<int64_t, int64_t>> columns;  // first column and their number, of each field
    std::vector<int32_t> distinct;                     // ascending; the first is 0
  };
  // Tables whose rows have the same owners: those that one column of ids names.
  struct TablesOfColumn {
    size_t ids = 0;  // in ids_
    TableRows rows;
    std::vector<size_t> parameters;           // in model_ and owned_
    std::vector<std::vector<int32_t>> asked;  // by member: places in `distinct` of the rows that it owns
  };

  void find_distinct(const Tensor& ids, IdColumns& of, const Tensor& renumbered) const;
  std::vector<Group::Bytes> send(const std::vector<Group::Bytes>& parts);

  Group& group_;
  int64_t batch_size_;
  std::vector<Parameter> model_, owned_;
  std::vector<IdColumns> ids_;
  std::vector<TablesOfColumn> tables_;
  std::vector<Parameter> whole_;  // parameters that are not divided
  int64_t bytes_sent_ = 0;
};

}  // namespace kdef::nn
