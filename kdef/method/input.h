// What an ensemble reads: one batch of encoded rows as tensors.
#pragma once

#include "core/tensor/tensor.h"
#include "data/feed/batching.h"

namespace kdef {

/// One batch of encoded rows, as nn::EmbeddingTables reads it; labels [B, 1].
struct ModelInput {
  Tensor ids;     // i32 [B, C]
  Tensor values;  // [B, N] of numeric fields; undefined without
  Tensor labels;  // undefined in prediction

  int64_t rows() const { return (ids.defined() ? ids : values).shape()[0]; }
  /// The same batch there.
  ModelInput to(Device device) const;
};

/// A batch of the loader as tensors on its buffers, which must outlive them.
ModelInput model_input(data::Batch& batch, int64_t id_columns, int64_t value_columns);

}  // namespace kdef
