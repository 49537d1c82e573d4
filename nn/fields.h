// The input of a network: one batch of fields, and its embeddings.
#pragma once

#include <memory>

#include "nn/embedding.h"

namespace kdef::nn {

/// One batch, read through one set of embedding tables. Networks take it in place of a tensor, so that each reader gets
/// the form that is best for it, and every form is computed once:
/// - whole() is the tensor of all embeddings. It is one tensor for all readers, so the tape adds up their gradients.
/// - A Linear (nn/layers.h) over a Fields multiplies only the distinct ids of the batch, where distinct() has them.
/// - through() reads the same batch through other tables, for instance those of FirstOrder (nn/networks/parts.h).
/// A Fields is a cheap handle: its copies share what is computed. It belongs to one forward pass and to one thread.
class Fields {
 public:
  /// The batch ids i32 [B, C], values [B, N] (EmbeddingTables::forward), either undefined where `tables` read none of
  /// them. `tables` must outlive this object.
  Fields(const EmbeddingTables& tables, Tensor ids, Tensor values, const Pass& pass);
  /// Embeddings [B, F, D] or [B, width] that are known already. No other tables can read such a batch.
  Fields(Tensor embeddings);  // NOLINT: a network also accepts a tensor of embeddings

  /// Embeddings [B, F, D]; [B, width] where fields have different dimensions.
  const Tensor& whole() const;
  /// whole() as [B, width].
  Tensor flat() const;
  /// The batch by its distinct ids, for a first linear layer; null if the layer should multiply whole(). Only this
  /// function decides. Distinct ids are used in fused training on a CPU, for fields that have few of them. Prediction
  /// does not use them, because a row's result must not depend on the rows beside it, not even in the last digit.
  const DistinctFields* distinct() const;
  /// The same batch, read through `tables`; throws Error where the batch itself is unknown.
  Fields through(const EmbeddingTables& tables) const;

  /// The values [B, N] of the numeric fields, by EmbeddingField::column; undefined where the tables read none. Throws
  /// Error where the batch itself is unknown.
  const Tensor& values() const;

  int64_t rows() const;
  Device device() const;
  /// Whether both are the same batch, read through the same tables.
  bool same_as(const Fields& other) const { return state_ == other.state_; }

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// [B, ...] -> [B, product of the other dimensions].
Tensor flatten(const Tensor& x);

}  // namespace kdef::nn
