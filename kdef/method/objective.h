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
//
// Weights of rows weigh L_label alone: its mean over rows is sum_b w_b l_b / sum_b w_b. The examination, L_teach and
// L_peer stay plain means: they compare predictions of a row with each other, whatever its label counts.
#pragma once

#include <span>

#include "kdef/method/task.h"

namespace kdef {

/// How the losses of teacher and peers are weighted.
enum class Examination {
  on,        // as published: w and v follow the examination and carry its gradient
  detached,  // the same values, held constant in the gradient
  equal,     // w = 1/M, v = 1/(M-1)
};

/// A name in configurations.
struct ExaminationName {
  const char* name;
  Examination value;
};
inline constexpr ExaminationName kExaminations[] = {
    {"on", Examination::on}, {"detached", Examination::detached}, {"equal", Examination::equal}};
inline const char* name_of(Examination value) { return kExaminations[static_cast<size_t>(value)].name; }

struct ObjectiveConfig {
  bool teach = true;  // L_teach (KD)
  bool peer = true;   // L_peer (DML)
  Examination examination = Examination::on;
};

/// The objective as one op: forward and closed-form gradient in one pass each over [B, M]; z [B, M], y [B, 1], weights
/// [B, 1] >= 0 or undefined. Weights that are all 0 leave L_label out. In a group of processes (core/base/group.h) z, y
/// and weights are this member's rows of the batch; L is that of the whole batch, and the members' gradients of a
/// parameter add up to its gradient.
Tensor kdef_objective(const Tensor& z, const Tensor& y, const ObjectiveConfig& config = {}, const Tensor& weights = {});

/// The same objective composed from primitive ops, formula by formula: the twin to read.
Tensor kdef_objective_composed(const Tensor& z, const Tensor& y, const ObjectiveConfig& config = {},
                               const Tensor& weights = {});

/// The composed objective with everything under sg() computed from `z_held` instead of z: what finite differences may
/// be taken of. kdef_objective_composed is this with z_held = z detached.
Tensor kdef_objective_held(const Tensor& z, const Tensor& z_held, const Tensor& y, const ObjectiveConfig& config = {},
                           const Tensor& weights = {});

extern const OpInfo kObjectiveInfo;

// ---- What an objective is. The table of ensembles (kdef/method/ensembles.h) names them all.

/// What an objective may read of a batch.
struct ObjectiveInput {
  Tensor students;  // logits [B, M], or [B, passes M]
  Tensor ensemble;  // output of the ensemble [B, 1]
  Tensor labels;    // [B, 1]
  Tensor weights;   // [B, 1], or undefined
};

/// Settings that the gradient audit checks beside the default ones.
struct ObjectiveCase {
  const char* variant;
  ObjectiveConfig config;
};

struct Objective {
  const char* name;
  const char* formula;
  /// Why the objective is not defined for labels that are any numbers; null: it is.
  const char* clicks_only = nullptr;
  /// How often a batch passes through every network in training, each time with dropout masks of its own: the students'
  /// logits are then [B, passes M], pass by pass.
  int passes = 1;
  /// The objective composed of primitive ops, to read. What stands under a stop-gradient is computed from `held` in
  /// place of the students' logits: their detached value in training, a constant where differences are taken.
  Tensor (*composed)(const Task& task, const ObjectiveInput& batch, const Tensor& held, const ObjectiveConfig& config);
  /// The same objective of clicks as one op, and the op; null: there is none. Then, and for other labels, `composed` is
  /// used.
  Tensor (*fused)(const ObjectiveInput& batch, const ObjectiveConfig& config) = nullptr;
  const OpInfo* op = nullptr;
  /// Beside the default settings.
  std::span<const ObjectiveCase> cases = {};

  /// Whether a task's labels can be trained by the op.
  bool has_op(const Task& task) const { return fused != nullptr && task.labels == data::LabelKind::click; }
  /// The loss of a batch; by `fused` if that is asked for and there.
  Tensor loss(const Task& task, const ObjectiveInput& batch, const ObjectiveConfig& config, bool as_one_op) const {
    return as_one_op && has_op(task) ? fused(batch, config) : composed(task, batch, batch.students.detach(), config);
  }
};

}  // namespace kdef
