// The results of a tuner file's experiments in the form in which FuxiCTR's run_expid.py writes them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kdef/run/record.h"
#include "kdef/study/plan.h"

namespace kdef {

/// One line per finished run, in the order of the plan:
///   " 20261129-181500,[command] kdef train ..,[exp_id] ID,[dataset_id] ID,[train] N.A.,[val] AUC: 0.812345 -
///   logloss: 0.445612,[test] AUC: .."
/// The time is the local one at which the run was finished, the command trains the run again, the metrics are those
/// that the experiment's `metrics` names, in its order. `records` has one entry per planned run, empty for runs that
/// are not finished.
std::string fuxictr_lines(const SweepPlan& plan, const std::vector<std::optional<RunRecord>>& records);

}  // namespace kdef
