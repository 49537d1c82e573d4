// Tri-BCE, the objective of FCN (Li et al., arXiv 2407.13349): the mean of the students learns from the labels, and a
// student that is worse than the mean learns from the labels the more, the worse it is.
#include "kdef/method/ensembles.h"
#include "kdef/method/joint_objective.h"
#include "ops/elementwise.h"

namespace kdef {

static const OpInfo kTriBceObjectiveInfo{
    "tri_bce_objective",
    "L = L_q + sum_k max(L_k - L_q, 0) L_k, L_q = BCE(q, y), L_k = BCE(p_k, y), q = sigmoid(mean_k z_k)",
    "dz_k = ((1 - sum_{i in W} L_i) (q - y) / M + [k in W] (2 L_k - L_q) (p_k - y)) / B, W the students with L_k > "
    "L_q"};

constinit const Objective kTriBceObjective{
    .name = "tri_bce",
    .formula = "L + sum_k max(L_k - L, 0) L_k, L = BCE(sigmoid(mean_k z_k), y), L_k = BCE(p_k, y)",
    .composed =
        [](const Task& task, const ObjectiveInput& in, const Tensor&, const ObjectiveConfig&) {
          const nn::TaskFunctions of = functions_of(task, in.weights);
          const Tensor of_mean = of.loss(mean_of_students(in.students), in.labels);
          return ops::add(of_mean, nn::loss_of_worse(in.students, of_mean, in.labels, of));
        },
    .fused =
        [](const ObjectiveInput& in, const ObjectiveConfig&) {
          return joint_objective(kTriBceObjectiveInfo, {.mean_of_probabilities = false, .taught = false}, in.students,
                                 in.labels, in.weights);
        },
    .op = &kTriBceObjectiveInfo};

}  // namespace kdef
