#include "kdef/study/groups.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "kdef/study/labels.h"

namespace kdef {
namespace {

RunGroup group_of(const ExperimentConfig& config) {
  RunGroup g;
  g.dataset = config.dataset_id;
  g.experiment = config.id;
  g.ensemble = ensemble_label(config);
  g.networks = networks_label(config, true);
  g.kinds = networks_label(config, false);
  g.kind = config.model.kind;
  g.students = config.model.students.size();
  return g;
}

std::vector<const RunRecord*> finished_runs(const std::vector<RunRecord>& runs, const std::vector<size_t>& chosen) {
  std::vector<const RunRecord*> finished;
  for (const size_t i : chosen) {
    if (runs[i].finished()) finished.push_back(&runs[i]);
  }
  return finished;
}

void compare_settings(const std::vector<RunRecord>& runs, RunGroup& g) {
  const ExperimentConfig& first = runs[g.runs[0]].config;
  std::set<std::string> differing;
  std::set<uint64_t> seeds;
  for (const size_t i : g.runs) {
    ExperimentConfig other = runs[i].config;
    seeds.insert(other.training.seed);
    other.training.seed = first.training.seed;
    for (const KeyDifference& d : differences(first, other)) differing.insert(d.key);
  }
  g.differing.assign(differing.begin(), differing.end());
  if (differing.empty()) g.repeated = g.runs.size() - seeds.size();
}

}  // namespace

std::vector<RunGroup> group_runs(const std::vector<RunRecord>& runs) {
  std::vector<RunGroup> groups;
  const auto key = [](const RunGroup& g) {
    return std::tie(g.dataset, g.experiment, g.ensemble, g.networks, g.students);
  };
  for (size_t i = 0; i < runs.size(); ++i) {
    RunGroup g = group_of(runs[i].config);
    const auto known = std::find_if(groups.begin(), groups.end(), [&](const RunGroup& a) { return key(a) == key(g); });
    RunGroup& group = known == groups.end() ? groups.emplace_back(std::move(g)) : *known;
    group.runs.push_back(i);
  }
  std::map<std::string, bool> on_test;
  for (const RunGroup& g : groups) {
    bool& all = on_test.try_emplace(g.dataset, true).first->second;
    all = all && all_have_test(finished_runs(runs, g.runs));
  }
  for (RunGroup& g : groups) {
    g.on_test = on_test[g.dataset];
    g.summary = summarize(finished_runs(runs, g.runs), g.on_test);
    compare_settings(runs, g);
  }
  return groups;
}

}  // namespace kdef
