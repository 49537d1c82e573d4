// The objective of FINAL (Zhu et al., SIGIR 2023, equation 10): the mean of the students learns from the labels, every
// student from the mean.
#include "kdef/method/ensembles.h"
#include "kdef/method/joint_objective.h"
#include "ops/elementwise.h"

namespace kdef {

static const OpInfo kFinalObjectiveInfo{"final_objective",
                                        "L = BCE(q, y) + sum_k BCE(p_k, sg q), q = sigmoid(mean_k z_k)",
                                        "dz_k = ((q - y) / M + p_k - q) / B"};

constinit const Objective kFinalObjective{
    .name = "final",
    .formula = "BCE(q, y) + sum_k BCE(p_k, sg q), q = sigmoid(mean_k z_k)",
    .composed =
        [](const Task& task, const ObjectiveInput& in, const Tensor& held, const ObjectiveConfig&) {
          const nn::TaskFunctions of = functions_of(task, in.weights);
          return ops::add(of.loss(mean_of_students(in.students), in.labels),
                          nn::loss_of_taught(in.students, of.predict(mean_of_students(held)), of));
        },
    .fused =
        [](const ObjectiveInput& in, const ObjectiveConfig&) {
          return joint_objective(kFinalObjectiveInfo, {.mean_of_probabilities = false, .taught = true}, in.students,
                                 in.labels, in.weights);
        },
    .op = &kFinalObjectiveInfo};

}  // namespace kdef
