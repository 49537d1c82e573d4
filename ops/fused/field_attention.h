// Multi-head self-attention of the fields of a row, in one op.
#pragma once

#include "core/tensor/tape.h"
#include "ops/dropout.h"

namespace kdef::ops {

extern const OpInfo kFieldAttentionInfo;

/// What an attention is made with, beside its queries, keys and values.
struct AttentionForm {
  int64_t heads = 1;
  double scale = 1;     // of the scores
  double p = 0;         // rate of dropout of the weights; 0: none
  DropoutKey key = {};  // of the weights [B, heads, F, F]
};

/// y_h = dropout(softmax(scale q_h k_h^T)) v_h for each head h, heads side by side (Vaswani et al. 2017, arXiv
/// 1706.03762, eq. 1): q, k, v [B, F, A] -> [B, F, A]; head h has the columns [h A / heads, (h + 1) A / heads), and the
/// softmax is over the keys.
///
/// On the CPU the scores and weights of one row and head, F x F numbers, are made in cache, in both passes, and never
/// stored. On other devices this is field_attention_composed().
Tensor field_attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionForm& form);

/// The same of primitive ops.
Tensor field_attention_composed(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionForm& form);

}  // namespace kdef::ops
