// The label loss of the ensemble's output as an objective.
#include "kdef/method/ensembles.h"

namespace kdef {

constinit const Objective kLabelObjective{
    .name = "label",
    .formula = "BCE(q, y), q of the ensemble's output",
    .composed = [](const Task& task, const ObjectiveInput& in, const Tensor&, const ObjectiveConfig&) {
      return task.label_loss(in.ensemble, in.labels, in.weights);
    }};

}  // namespace kdef
