// A tuner file of FuxiCTR as the plan of a sweep.
#pragma once

#include <string>
#include <vector>

#include "kdef/config/tuner.h"
#include "kdef/study/plan.h"

namespace kdef {

/// The experiments of a tuner file whose names contain `tag`, in FuxiCTR's order of training: by name. Runs are named
/// as the experiments. As in FuxiCTR, where each experiment is a process of its own, one that cannot be loaded does not
/// stop the others: it is in SweepPlan::refused. Throws InputError if there is none, and if none can be loaded.
SweepPlan plan_tuner(const TunerFile& file, const std::vector<std::string>& overrides, const std::string& tag = "");

}  // namespace kdef
