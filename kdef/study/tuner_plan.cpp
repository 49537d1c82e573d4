#include "kdef/study/tuner_plan.h"

#include <algorithm>

#include "core/base/error.h"

namespace kdef {

SweepPlan plan_tuner(const TunerFile& file, const std::vector<std::string>& overrides, const std::string& tag) {
  SweepPlan plan;
  plan.experiment = file.base_experiment();
  plan.dataset = file.dataset();
  plan.has_named_runs = true;
  for (const TunerFile::Key& key : file.keys()) plan.axes.push_back({key.name, key.values});
  const std::vector<TunerFile::Experiment>& experiments = file.experiments();
  for (size_t i = 0; i < experiments.size(); ++i) {
    const TunerFile::Experiment& e = experiments[i];
    if (e.id.find(tag) == std::string::npos) continue;
    try {
      plan.runs.push_back({e.id, {e.values}, file.load(i, overrides)});
    } catch (const InputError& error) {
      plan.refused.push_back({e.id, error.what()});
    }
  }
  if (plan.runs.empty() && !plan.refused.empty()) {
    const RefusedRun& first = plan.refused[0];
    throw InputError(cat(plan.refused.size() == 1 ? "" : cat("none of ", plan.refused.size(), " can be loaded; "),
                         "experiment ", first.name, ": ", first.reason));
  }
  if (plan.runs.empty()) throw InputError(cat("no experiment's name contains '", tag, "'"));
  std::sort(plan.runs.begin(), plan.runs.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return plan;
}

}  // namespace kdef
