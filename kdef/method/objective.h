// The objective of KDEF: knowledge distillation (KD) from the ensemble and deep mutual learning (DML) between its
// sub-networks ('students'), weighted by an examination. Li, Sang, Zhang, Cui, Zhang: "From Collapse to Stability: A
// Knowledge-Driven Ensemble Framework for Scaling Up Click-Through Rate Prediction Models", arXiv 2411.16122.
//
// With z [B, M] the students' logits, p = sigmoid(z), the teacher q = sigmoid(mean_m z), labels y, sg = stop-gradient:
//   L_label = mean_m BCE(p_m, y)
//   s_m     = mean_b (1 - |y - p_m|)                           the examination; carries gradient
//   L_teach = sum_m w_m mean_b (p_m - sg q)^2,                 w = softmin(s)
//   L_peer  = mean_i sum_{j != i} v_ij mean_b (p_i - sg p_j)^2,  v_ij = softmax_{j != i}(s_j - s_i); absent for M = 1
//   L       = L_label + L_teach + L_peer
#pragma once

#include <string>

#include "core/tensor/tape.h"

namespace kdef {

/// How the losses of teacher and peers are weighted.
enum class Examination {
  on,        // as published: w and v follow the examination and carry its gradient
  detached,  // the same values, held constant in the gradient
  equal,     // w = 1/M, v = 1/(M-1)
};

struct ObjectiveConfig {
  bool teach = true;  // L_teach (KD)
  bool peer = true;   // L_peer (DML)
  Examination examination = Examination::on;
};

/// The objective as one op: forward and closed-form gradient in one pass each over [B, M]; z [B, M], y [B, 1]. In a
/// group of processes (core/base/group.h) z and y are this member's rows of the batch; L is that of the whole batch,
/// and the members' gradients of a parameter add up to its gradient.
Tensor kdef_objective(const Tensor& z, const Tensor& y, const ObjectiveConfig& config = {});

/// The same composed from primitive ops, formula by formula: the twin to read.
Tensor kdef_objective_composed(const Tensor& z, const Tensor& y, const ObjectiveConfig& config = {});

/// The composed objective with everything under sg() computed from `z_held` instead of z: what finite differences may
/// be taken of. kdef_objective_composed is this with z_held = z detached.
Tensor kdef_objective_held(const Tensor& z, const Tensor& z_held, const Tensor& y, const ObjectiveConfig& config = {});

extern const OpInfo kObjectiveInfo;

}  // namespace kdef
