// The columns of a row that are not inputs: label, weight and group.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/encode/value_ids.h"
#include "data/encode/vocabulary.h"
#include "data/raw/row_source.h"
#include "data/schema.h"

namespace kdef::data {

/// Which of these columns are read in addition to the inputs.
/// all: the label, and where the data set has them the weight, and the group unless an input tells it.
enum class Targets { none, label, all };

/// Places in the selection of a source: of every input, and of the target columns; -1: the column is not read. Inputs
/// and targets that read one column have one place.
struct RowSlots {
  std::vector<int64_t> fields;
  int64_t label = -1, weight = -1, group = -1;
  bool group_by_id = false;  // the groups follow from the inputs
};

/// Selects in `source` the columns that `fields` read, and the targets. Bounds a chunk to 64 MiB of ids. InputError for
/// a column that the source does not have.
RowSlots select_columns(RowSource& source, const std::vector<FieldConfig>& fields, const DatasetConfig& config,
                        Targets targets);

/// Throws InputError "FILE: the label column click is missing: ADVICE" for a source that has no label column.
void check_label(const RowSource& source, const DatasetConfig& config, const std::string& advice);

/// Reads the labels or weights of a chunk, at `slot`, to out[0 .. rows). InputError with file and line for a bad cell.
void read_labels(const Chunk& chunk, int64_t slot, const DatasetConfig& config, float* out);
void read_weights(const Chunk& chunk, int64_t slot, const DatasetConfig& config, float* out);

/// Numbers the groups of rows from 0 in the order of their first rows: equal texts, and only they, have equal numbers.
/// Memory holds the distinct texts.
class GroupNumbers {
 public:
  /// Appends the numbers of the rows of `chunks`, in their order.
  void append(std::span<const Chunk> chunks, int64_t slot, std::vector<int32_t>& out);

 private:
  StringSet texts_;
  ValueIds ids_;
};

/// Gives the rows of consecutive batches their groups: `numbers` has one number per row of all batches.
void share_out(const std::vector<int32_t>& numbers, std::span<Batch> batches);

}  // namespace kdef::data
