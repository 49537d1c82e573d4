// What an ensemble reads: one batch of encoded rows as tensors.
#pragma once

#include "core/tensor/tensor.h"
#include "data/feed/batching.h"

namespace kdef {

/// One batch of encoded rows, as nn::EmbeddingTables reads it.
struct ModelInput {
  Tensor ids;      // i32 [B, C]; undefined without id columns
  Tensor values;   // [B, N] of numeric fields; undefined without numeric fields
  Tensor labels;   // [B, 1]; undefined in prediction
  Tensor weights;  // [B, 1], all >= 0; undefined: every row counts once

  int64_t rows() const { return (ids.defined() ? ids : values).shape()[0]; }
  /// Rows [first, first + count) as a view.
  ModelInput rows(int64_t first, int64_t count) const;
  /// The same batch on that device.
  ModelInput to(Device device) const;
};

/// A batch of the loader as tensors that use the batch's buffers; the batch must outlive them.
ModelInput model_input(data::Batch& batch, int64_t id_columns, int64_t value_columns);

}  // namespace kdef
