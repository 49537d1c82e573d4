#include "kdef/study/groups.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "kdef/config/settings.h"
#include "kdef/study/labels.h"

namespace kdef {
namespace {

using Settings = std::map<std::string, std::string>;

// Names and places of the data. Runs that differ in them alone are runs of one group: the files may have been moved.
bool is_place(const std::string& key) {
  static const std::set<std::string> kPlaces = {"dataset_id", "data_root", "train_data", "valid_data", "test_data"};
  return kPlaces.count(key) != 0;
}

RunGroup group_of(const ExperimentConfig& config) {
  RunGroup g;
  g.experiment = config.id;
  g.ensemble = ensemble_label(config);
  g.networks = networks_label(config, true);
  g.kinds = networks_label(config, false);
  g.kind = config.model.kind;
  g.students = config.model.students.size();
  return g;
}

auto labels_of(const RunGroup& g) { return std::tie(g.dataset, g.ensemble, g.networks, g.students); }

std::vector<const RunRecord*> finished_runs(const std::vector<RunRecord>& runs, const std::vector<size_t>& chosen) {
  std::vector<const RunRecord*> finished;
  for (const size_t i : chosen) {
    if (runs[i].finished()) finished.push_back(&runs[i]);
  }
  return finished;
}

// The data set of every run. One that is prepared in several ways, under several names, is one data set here.
std::vector<std::string> datasets_of(const std::vector<RunRecord>& runs) {
  std::map<std::tuple<std::string, std::string, std::string, std::string>, std::string> by_files;
  std::map<std::string, std::string> by_name;
  std::vector<std::string> names;
  for (const RunRecord& run : runs) {
    const data::DatasetConfig& d = run.config.dataset;
    const std::string& own = by_name.try_emplace(run.config.dataset_id, run.config.dataset_id).first->second;
    const std::string& first =
        by_files.try_emplace({d.train_data, d.valid_data, d.test_data, d.label}, own).first->second;
    by_name[run.config.dataset_id] = first;
    names.push_back(first);
  }
  return names;
}

// Adds the runs to the groups of their labels and, of the keys in `shown`, settings.
std::vector<RunGroup> grouped(const std::vector<RunRecord>& runs, const std::vector<std::string>& datasets,
                              const std::vector<Settings>& settings,
                              const std::map<std::string, std::set<std::string>>& shown) {
  std::vector<RunGroup> groups;
  for (size_t i = 0; i < runs.size(); ++i) {
    RunGroup g = group_of(runs[i].config);
    g.dataset = datasets[i];
    const auto keys = shown.find(g.dataset);
    if (keys != shown.end()) {
      for (const std::string& key : keys->second) {
        const auto value = settings[i].find(key);
        g.settings[key] = value == settings[i].end() ? "" : value->second;
      }
    }
    const auto known = std::find_if(groups.begin(), groups.end(), [&](const RunGroup& other) {
      return labels_of(other) == labels_of(g) && other.settings == g.settings;
    });
    RunGroup& group = known == groups.end() ? groups.emplace_back(std::move(g)) : *known;
    group.runs.push_back(i);
  }
  const auto first_of = [&](const std::string& dataset) {
    return std::find(datasets.begin(), datasets.end(), dataset) - datasets.begin();
  };
  std::stable_sort(groups.begin(), groups.end(),
                   [&](const RunGroup& a, const RunGroup& b) { return first_of(a.dataset) < first_of(b.dataset); });
  return groups;
}

// The keys, but the seed, that have several values in a group.
std::set<std::string> differing_keys(const RunGroup& group, const std::vector<Settings>& settings) {
  const Settings& first = settings[group.runs[0]];
  std::set<std::string> keys;
  for (const size_t i : group.runs) {
    for (const auto& [key, value] : settings[i]) {
      const auto other = first.find(key);
      if (key != "seed" && (other == first.end() || other->second != value)) keys.insert(key);
    }
    for (const auto& entry : first) {
      if (settings[i].count(entry.first) == 0) keys.insert(entry.first);
    }
  }
  return keys;
}

void compare_settings(const std::vector<RunRecord>& runs, const std::vector<Settings>& settings, RunGroup& g) {
  const std::set<std::string> differing = differing_keys(g, settings);
  std::set<uint64_t> seeds;
  std::set<std::string> experiments;
  for (const size_t i : g.runs) {
    seeds.insert(runs[i].config.training.seed);
    experiments.insert(runs[i].config.id);
  }
  g.experiments = experiments.size();
  g.differing.assign(differing.begin(), differing.end());
  if (differing.empty()) g.repeated = g.runs.size() - seeds.size();
}

}  // namespace

std::string ensemble_name(const RunGroup& g) { return is_one_network(g.kind, g.students) ? kOneNetwork : g.ensemble; }

std::vector<RunGroup> group_runs(const std::vector<RunRecord>& runs) {
  const std::vector<std::string> datasets = datasets_of(runs);
  std::vector<Settings> settings;
  for (const RunRecord& run : runs) settings.push_back(flat_settings(run.config));
  std::map<std::string, std::set<std::string>> shown;  // of each data set, the keys that tell its groups apart
  for (const RunGroup& g : grouped(runs, datasets, settings, {})) {
    for (const std::string& key : differing_keys(g, settings)) {
      if (!is_place(key)) shown[g.dataset].insert(key);
    }
  }
  std::vector<RunGroup> groups = grouped(runs, datasets, settings, shown);
  std::map<std::string, bool> on_test;
  for (const RunGroup& g : groups) {
    bool& all = on_test.try_emplace(g.dataset, true).first->second;
    all = all && all_have_test(finished_runs(runs, g.runs));
  }
  for (RunGroup& g : groups) {
    g.on_test = on_test[g.dataset];
    g.summary = summarize(finished_runs(runs, g.runs), g.on_test);
    compare_settings(runs, settings, g);
  }
  return groups;
}

}  // namespace kdef
