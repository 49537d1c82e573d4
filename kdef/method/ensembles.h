// The table of ensembles: what each kind makes of its students' outputs, and the objective that trains it. A kind with
// an objective of its own has the objective's name (the key `objective`). The others are trained by the label loss of
// their output, which is `objective: none`, and differ in their output (the key `ensemble`). A new objective is a file
// and a row; a new kind of output is a row.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kdef/method/objective.h"

namespace kdef {

/// The mean of the students' logits z [B, M]: [B, 1].
Tensor mean_of_students(const Tensor& z);
/// The sum of the students' logits z [B, M]: [B, 1].
Tensor sum_of_students(const Tensor& z);
/// The logit of the mean of the students' probabilities: [B, 1].
Tensor mean_of_probabilities(const Tensor& z);

/// The ensembles: X(name, objective, combination, what it is). A combination is a function of the students' logits. Or
/// it is nullptr: then a linear layer W [h_1 .. h_M] + b reads the students' last hidden layers, and the students keep
/// output layers of their own, which are not trained. The type EnsembleKind, the names in configurations and messages,
/// the gradient audit, the documentation and the tests follow from this table.
#define KDEF_ENSEMBLES(X)                                                                                     \
  X(kdef, kKdefObjective, mean_of_students,                                                                   \
    "students learn from the labels, from their mean and from each other, weighted by an examination")        \
  X(final, kFinalObjective, mean_of_students,                                                                 \
    "the mean of the students learns from the labels, every student from the mean (FinalNet's loss)")         \
  X(self_ensemble, kSelfEnsembleObjective, mean_of_probabilities,                                             \
    "every student passes twice, with two dropout masks; the mean of all predictions learns from the "        \
    "labels, every prediction from the mean (QNN's loss)")                                                    \
  X(tri_bce, kTriBceObjective, mean_of_students,                                                              \
    "the mean of the students learns from the labels, and every student that is worse than the mean, by how " \
    "much it is worse (FCN's loss)")                                                                          \
  X(mean, kLabelObjective, mean_of_students, "mean of the logits")                                            \
  X(sum, kLabelObjective, sum_of_students, "sum of the logits")                                               \
  X(concat, kLabelObjective, nullptr, "linear layer over the hidden layers")

// ---- What follows from the table.

enum class EnsembleKind {
#define KDEF_KIND(name, ...) name,
  KDEF_ENSEMBLES(KDEF_KIND)
#undef KDEF_KIND
};

#define KDEF_DECLARE(name, objective, ...) extern const Objective objective;
KDEF_ENSEMBLES(KDEF_DECLARE)
#undef KDEF_DECLARE

/// A row of the table.
struct EnsembleType {
  EnsembleKind kind;
  const char* name;
  const Objective& objective;
  Tensor (*combine)(const Tensor& z);
  const char* meaning;

  /// Whether the students' output layers are trained. If not, the ensemble reads their last hidden layers instead.
  bool trains_output_layers() const { return combine != nullptr; }
  /// Whether the objective is the label loss of the output and nothing else: `objective: none`.
  bool label_loss_alone() const { return &objective == &kLabelObjective; }
  /// Whether one student of this kind is trained as the plain network is: its gradient is that of the label loss.
  bool one_student_is_plain() const { return combine != nullptr && objective.passes == 1; }
};

/// All rows.
std::span<const EnsembleType> ensemble_types();
const EnsembleType& ensemble_type(EnsembleKind kind);
const char* name_of(EnsembleKind kind);
/// The names of the kinds that `chosen` accepts, for messages: "kdef, mean or sum".
std::string ensembles_where(bool (*chosen)(const EnsembleType& type));
/// What the kinds are that `chosen` accepts: "kdef: ...; mean: ...".
std::string ensemble_meanings(bool (*chosen)(const EnsembleType& type));
/// Why an ensemble of this kind cannot be trained for a task, and what can; empty where it can.
std::string refusal_of(EnsembleKind kind, const Task& task);

/// The objectives of all kinds of ensembles, each once.
std::vector<const Objective*> objectives();

}  // namespace kdef
