// The self-ensemble loss of QNN (Li et al., KDD 2025, arXiv 2505.17999): a batch passes twice through every network,
// with two dropout masks. The mean of all predictions learns from the labels, every prediction from the mean.
#include "kdef/method/ensembles.h"
#include "kdef/method/joint_objective.h"
#include "ops/elementwise.h"
#include "ops/loss.h"
#include "ops/reduce.h"

namespace kdef {

static const OpInfo kSelfEnsembleObjectiveInfo{"self_ensemble_objective",
                                               "L = BCE(q, y) + sum_k BCE(p_k, sg q), q = mean_k p_k",
                                               "dz_k = ((q - y) p_k (1 - p_k) / (q (1 - q) M) + p_k - q) / B"};

constinit const Objective kSelfEnsembleObjective{
    .name = "self_ensemble",
    .formula = "BCE(q, y) + sum_k BCE(p_k, sg q), q = mean_k p_k, k over two passes of every student",
    .clicks_only = "its teacher is the mean of the students' probabilities",
    .passes = 2,
    .composed =
        [](const Task& task, const ObjectiveInput& in, const Tensor& held, const ObjectiveConfig&) {
          const auto mean = [&](const Tensor& z) { return ops::mean(task.predict(z), 1, true); };
          return ops::add(ops::binary_cross_entropy(mean(in.students), in.labels, in.weights),
                          nn::loss_of_taught(in.students, mean(held), functions_of(task, in.weights)));
        },
    .fused =
        [](const ObjectiveInput& in, const ObjectiveConfig&) {
          return joint_objective(kSelfEnsembleObjectiveInfo, {.mean_of_probabilities = true, .taught = true},
                                 in.students, in.labels, in.weights);
        },
    .op = &kSelfEnsembleObjectiveInfo};

}  // namespace kdef
