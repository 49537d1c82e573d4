// Objectives that are made of cross-entropies of the students and of their mean. With z [B, M] the students' logits,
// p = sigmoid(z), labels y, sg = stop-gradient, and the mean of the students
//   q = sigmoid(mean_k z_k), or q = mean_k p_k:
//   L = BCE(q, y);
//   taught:   L + sum_k BCE(p_k, sg q)                              final, self_ensemble
//   weighted: L + sum_k max(L_k - L, 0) L_k, L_k = BCE(p_k, y)      tri_bce; the weights carry gradient
// Every BCE is a mean over the rows, weighted where rows have weights. final_objective.cpp, self_ensemble_objective.cpp
// and tri_bce_objective.cpp have the rows of the table, with the objectives composed of primitive ops.
#pragma once

#include "core/tensor/tape.h"

namespace kdef {

/// Which of these objectives.
struct JointForm {
  bool mean_of_probabilities;  // q = mean_k p_k; false: q = sigmoid(mean_k z_k)
  bool taught;                 // students learn from q; false: from the labels, by how much they are worse than q
};

/// The objective as one op, `info`: z [B, M], y [B, 1], weights [B, 1] >= 0 or undefined. Weights that are all 0 give
/// 0. In a group of processes as kdef_objective (kdef/method/objective.h).
Tensor joint_objective(const OpInfo& info, JointForm form, const Tensor& z, const Tensor& y,
                       const Tensor& weights = {});

}  // namespace kdef
