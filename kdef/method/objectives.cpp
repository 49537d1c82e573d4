// The rows of the table of objectives.
#include "core/base/names.h"
#include "kdef/method/objective.h"

namespace kdef {

const std::vector<Objective>& objectives() {
  static const std::vector<Objective> all = {
      {"kdef", "L_label + L_teach + L_peer",
       "its examination 1 - |y - p| compares labels with probabilities, so that both must lie in [0, 1]",
       [](const Task&, const ObjectiveInput& in, const ObjectiveConfig& config) {
         return kdef_objective(in.students, in.labels, config, in.weights);
       },
       [](const Task&, const ObjectiveInput& in, const ObjectiveConfig& config) {
         return kdef_objective_composed(in.students, in.labels, config, in.weights);
       }},
      {"label", "label loss of the ensemble's output", nullptr,
       [](const Task& task, const ObjectiveInput& in, const ObjectiveConfig&) {
         return task.label_loss(in.ensemble, in.labels, in.weights);
       },
       [](const Task& task, const ObjectiveInput& in, const ObjectiveConfig&) {
         return task.label_loss(in.ensemble, in.labels, in.weights);
       }},
  };
  return all;
}

const Objective& find_objective(std::string_view name) {
  const Objective* objective = find_row(objectives(), name);
  if (objective == nullptr) throw Error(cat("no objective is called '", name, "'"));
  return *objective;
}

}  // namespace kdef
