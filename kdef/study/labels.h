// What a run is, in words: the names that tables and pages use.
#pragma once

#include <string>

#include "kdef/run/record.h"

namespace kdef {

/// "KDEF", "mean", "KDEF, KD only, equal weights, own embeddings".
std::string ensemble_label(const ExperimentConfig& config);
/// "mlp 400-400".
std::string network_label(const StudentConfig& student);
/// "3 \u00d7 mlp 400-400, product 64"; without `counted`, "mlp 400-400, product 64".
std::string networks_label(const ExperimentConfig& config, bool counted);
/// What a network alone is called that is trained with the label loss, and whether an ensemble is one.
inline constexpr const char* kOneNetwork = "one network";
bool is_one_network(EnsembleKind kind, size_t students);
/// "KDEF, 3 \u00d7 mlp 400-400", "one network, mlp 400-400".
std::string run_label(const RunRecord& run);

/// The style of a kind of ensemble in every picture (plot::Series): KDEF is green, as it is in docs/movielens.svg.
int ensemble_style(EnsembleKind kind);
/// The style of student k, from 0. None has the colour of KDEF.
int student_style(size_t k);

}  // namespace kdef
