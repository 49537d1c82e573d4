// The table of ensembles: what each kind makes of its students' outputs, and the objective that trains it. A new kind
// is a row of KDEF_ENSEMBLES; a new objective is a file of its own and the row of the kind that it trains.
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

/// The ensembles: X(name, objective, combination, what it is). A combination is a function of the students' logits. Or
/// it is nullptr: then a linear layer W [h_1 .. h_M] + b reads the students' last hidden layers, and the students keep
/// output layers of their own, which are not trained. The type EnsembleKind, the names in configurations and messages,
/// the gradient audit, the documentation and the tests follow from this table.
#define KDEF_ENSEMBLES(X)                                                                           \
  X(kdef, kKdefObjective, mean_of_students, "mean of the logits, trained by the objective of KDEF") \
  X(mean, kLabelObjective, mean_of_students, "mean of the logits, trained by the label loss")       \
  X(sum, kLabelObjective, sum_of_students, "sum of the logits, trained by the label loss")          \
  X(concat, kLabelObjective, nullptr, "linear layer over the hidden layers, trained by the label loss")

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
};

/// All rows.
std::span<const EnsembleType> ensemble_types();
const EnsembleType& ensemble_type(EnsembleKind kind);
const char* name_of(EnsembleKind kind);
/// The names of the kinds that `chosen` accepts, for messages: "kdef, mean or sum".
std::string ensembles_where(bool (*chosen)(const EnsembleType& type));
/// What each kind is: "kdef: ...; mean: ...".
std::string ensemble_meanings();
/// Why an ensemble of this kind cannot be trained for a task, and which kinds can; empty where it can.
std::string refusal_of(EnsembleKind kind, const Task& task);

/// The objectives of all kinds of ensembles, each once.
std::vector<const Objective*> objectives();

}  // namespace kdef
