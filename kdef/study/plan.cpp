#include "kdef/study/plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/base/names.h"
#include "core/base/text.h"
#include "core/io/file.h"
#include "data/encode/cache_settings.h"
#include "kdef/study/summary.h"

namespace kdef {
namespace {

constexpr const char* kStudents = "num_student";
constexpr const char* kEnsemble = "ensemble";
constexpr const char* kObjective = "objective";
constexpr const char* kSeed = "seed";

template <class T>
std::vector<T> distinct(const std::vector<T>& values) {
  std::vector<T> once;
  for (const T& v : values) {
    if (std::find(once.begin(), once.end(), v) == once.end()) once.push_back(v);
  }
  return once;
}

std::string hex8(uint32_t number) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text(8, '0');
  for (size_t i = 8; i-- > 0; number >>= 4) text[i] = kDigits[number & 15];
  return text;
}
std::string checksum(const std::string& text) { return hex8(crc32(text.data(), text.size())); }

// A value as part of the name of a directory, without what a shell or a file system takes for something else.
std::string plain(const std::string& value) {
  constexpr size_t kMaxLength = 60;
  std::string name;
  for (const char c : value) {
    const bool kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      std::string_view("._+-,:").find(c) != std::string_view::npos;
    const bool left_out = std::string_view(" []\"'").find(c) != std::string_view::npos;
    if (!left_out) name += kept ? c : '_';
  }
  return name.size() <= kMaxLength ? name : cat(name.substr(0, kMaxLength), "~", checksum(value));
}

// The parts of directories' names that the values of an axis become. Values that would look alike get a checksum.
std::vector<std::string> name_parts(const Axis& axis) {
  std::vector<std::string> parts;
  for (const std::string& value : axis.values) {
    const bool alike = std::count_if(axis.values.begin(), axis.values.end(),
                                     [&](const std::string& other) { return plain(other) == plain(value); }) > 1;
    const std::string label = plain(value) + (alike ? "~" + checksum(value) : "");
    parts.push_back(axis.key == kStudents ? "M" + label : axis.key == kEnsemble ? label : cat(axis.key, "=", label));
  }
  return parts;
}

// Advice where a setting is given that the sweep makes itself.
std::string option_of(const std::string& key) {
  if (key == kStudents) return "--students";
  if (key == kEnsemble || key == kObjective) return "--ensembles";
  if (key == kSeed) return "--seeds or --seed-list";
  return cat("its values with --over ", key, "=");
}

void check_axes(const SweepConfig& config) {
  std::set<std::string> keys = {kSeed};
  for (const Axis& axis : config.axes) {
    KDEF_CHECK(!axis.values.empty(), "sweep: ", axis.key, " has no values");
    if (axis.key == kSeed) throw InputError("seed: the seeds of a sweep are given by --seeds or --seed-list");
    if (!keys.insert(axis.key).second)
      throw InputError(cat(axis.key, ": is varied twice; give all its values at once"));
  }
  if (keys.count(kEnsemble) != 0 && !keys.insert(kObjective).second) {
    throw InputError("objective: --ensembles names objectives, too; vary one of the two");
  }
  for (const std::string& text : config.overrides) {
    const std::string path = text.substr(0, text.find('='));
    for (const std::string& key : keys) {
      if (path == key || path.starts_with(key + ".")) {
        throw InputError(cat(text, ": the sweep sets ", key, "; give ", option_of(key)));
      }
    }
  }
}

// Loads the experiment with settings; each combination once.
class Loader {
 public:
  explicit Loader(const SweepConfig& config) : config_(config) {}

  const ExperimentConfig& load(const std::vector<std::string>& settings) {
    const auto known = loaded_.find(settings);
    if (known != loaded_.end()) return known->second;
    std::vector<std::string> overrides = config_.overrides;
    overrides.insert(overrides.end(), settings.begin(), settings.end());
    return loaded_.emplace(settings, load_experiment(config_.config_dir, config_.experiment, overrides)).first->second;
  }
  const std::string& experiment() const { return config_.experiment; }

 private:
  const SweepConfig& config_;
  std::map<std::vector<std::string>, ExperimentConfig> loaded_;
};

// The setting that gives the experiment this number of students; nothing if it already has it with `settings`.
std::vector<std::string> students_setting(Loader& loader, std::vector<std::string> settings, int64_t students) {
  if (static_cast<int64_t>(loader.load(settings).model.students.size()) == students) return {};
  settings.push_back(cat(kStudents, "=1"));
  const auto unit = static_cast<int64_t>(loader.load(settings).model.students.size());
  if (students % unit != 0) {
    throw InputError(cat("--students: experiment ", loader.experiment(), " lists ", unit,
                         " students; expected multiples of ", unit, ", found ", students));
  }
  return {cat(kStudents, "=", students / unit)};
}

// The settings that decide how a data set is prepared, beside its name.
std::string data_settings(data::DatasetConfig dataset) {
  dataset.id.clear();
  return cat(data::cache_settings(dataset), "\n", dataset.train_data, "\n", dataset.valid_data, "\n",
             dataset.test_data);
}

// The settings by which an ensemble gets the kind of this name, whatever objective the experiment has.
std::vector<std::string> ensemble_settings(const std::string& name) {
  const auto* type = find_row(ensemble_types(), name);
  return type != nullptr ? overrides_for(type->kind) : std::vector{cat(kEnsemble, "=", name)};
}

// One choice of values, without the seed.
class Point {
 public:
  Point(const std::vector<Axis>& axes, const std::vector<size_t>& chosen) : axes_(axes), chosen_(chosen) {}

  const std::vector<size_t>& chosen() const { return chosen_; }
  const std::string* value(const char* key) const {
    for (size_t a = 0; a < axes_.size(); ++a) {
      if (axes_[a].key == key) return &axes_[a].values[chosen_[a]];
    }
    return nullptr;
  }
  // The settings of all axes but those of `left_out`.
  std::vector<std::string> settings(const std::set<std::string>& left_out) const {
    std::vector<std::string> all;
    for (size_t a = 0; a < axes_.size(); ++a) {
      const std::string &key = axes_[a].key, &chosen = axes_[a].values[chosen_[a]];
      if (left_out.count(key) != 0) continue;
      const std::vector<std::string> own =
          key == kEnsemble ? ensemble_settings(chosen) : std::vector{cat(key, "=", chosen)};
      all.insert(all.end(), own.begin(), own.end());
    }
    return all;
  }
  // The beginning of the run's name: the ensemble, as which it is trained, the students, the other axes.
  std::string name(const std::string& trained_kind) const {
    std::string second, rest;
    for (size_t a = 0; a < axes_.size(); ++a) {
      const std::string part = name_parts(axes_[a])[chosen_[a]];
      if (axes_[a].key == kStudents) second = "-" + part;
      if (axes_[a].key != kStudents && axes_[a].key != kEnsemble) rest += "-" + part;
    }
    const std::string name = trained_kind + second + rest;
    return name.starts_with('-') ? name.substr(1) : name;
  }

 private:
  const std::vector<Axis>& axes_;
  std::vector<size_t> chosen_;
};

// A point as it is trained: the settings, and the kind of ensemble if there is an axis of kinds.
struct Trained {
  std::vector<std::string> settings;
  std::string kind;
};

Trained trained(Loader& loader, const Point& point) {
  Trained t{point.settings({kStudents}), ""};
  if (const std::string* students = point.value(kStudents)) {
    int64_t number = 0;
    if (!read_number(*students, number) || number < 1) {
      throw InputError(cat("--students: expected integers of at least 1, found '", *students, "'"));
    }
    for (const std::string& setting : students_setting(loader, t.settings, number)) t.settings.push_back(setting);
  }
  if (point.value(kEnsemble) == nullptr) return t;
  const EnsembleConfig& model = loader.load(t.settings).model;
  t.kind = name_of(trained_as(model.kind, model.students.size()));
  for (const std::string& setting : ensemble_settings(t.kind)) t.settings.push_back(setting);
  return t;
}

// Gives the run a data set of its own if an axis changes how its rows are prepared.
void name_dataset(Loader& loader, const Point& point, ExperimentConfig& config) {
  std::vector<std::string> plain;
  if (const std::string* id = point.value("dataset_id")) plain.push_back(cat("dataset_id=", *id));
  if (const std::string* kind = point.value(kEnsemble)) {
    for (const std::string& setting : ensemble_settings(*kind)) plain.push_back(setting);
  }
  const std::string before = data_settings(loader.load(plain).dataset), now = data_settings(config.dataset);
  if (before == now) return;
  config.dataset_id += "_" + checksum(now);
  config.dataset.id = config.dataset_id;
}

// Every choice of values, the number of students slowest and the last axis fastest.
std::vector<Point> points_of(const std::vector<Axis>& axes) {
  std::vector<size_t> order;
  for (size_t a = 0; a < axes.size(); ++a) {
    order.insert(axes[a].key == kStudents ? order.begin() : order.end(), a);
  }
  std::vector<Point> points;
  std::vector<size_t> chosen(axes.size(), 0);
  for (;;) {
    points.emplace_back(axes, chosen);
    size_t at = order.size();
    while (at > 0 && ++chosen[order[at - 1]] == axes[order[at - 1]].values.size()) chosen[order[--at]] = 0;
    if (at == 0) return points;
  }
}

// Two runs with the same settings would be the same training twice.
void check_distinct(const SweepPlan& plan) {
  std::map<std::string, const SweepRun*> known;
  for (const SweepRun& run : plan.runs) {
    const auto [other, is_new] = known.emplace(shaping_yaml(run.config), &run);
    if (!is_new) {
      throw InputError(cat("runs ", other->second->name, " and ", run.name,
                           " have the same settings; leave out the value or the key that changes nothing"));
    }
  }
}

}  // namespace

std::string Axis::title() const { return key == kStudents ? "students" : key; }

Axis students_axis(const std::vector<int64_t>& numbers) {
  Axis axis{kStudents, {}};
  std::vector<int64_t> sorted = distinct(numbers);
  std::sort(sorted.begin(), sorted.end());
  for (const int64_t n : sorted) axis.values.push_back(cat(n));
  return axis;
}

Axis ensembles_axis(const std::vector<EnsembleKind>& kinds) {
  Axis axis{kEnsemble, {}};
  for (const EnsembleKind kind : distinct(kinds)) axis.values.emplace_back(name_of(kind));
  return axis;
}

Axis parse_axis(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    throw InputError(cat("--over: expected KEY=VALUE,VALUE.., found '", text, "'"));
  }
  Axis axis{text.substr(0, equals), {""}};
  int depth = 0;
  char quote = 0;
  for (const char c : text.substr(equals + 1)) {
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else {
      depth += (c == '[' || c == '{') - (c == ']' || c == '}');
    }
    if (c == ',' && depth == 0 && quote == 0) {
      axis.values.emplace_back();
    } else {
      axis.values.back() += c;
    }
  }
  for (std::string& value : axis.values) {
    const size_t first = value.find_first_not_of(' '), last = value.find_last_not_of(' ');
    value = first == std::string::npos ? "" : value.substr(first, last - first + 1);
    if (value.empty()) throw InputError(cat("--over ", text, ": a value is missing; write null for no value"));
  }
  axis.values = distinct(axis.values);
  return axis;
}

SweepPlan plan_sweep(const SweepConfig& config) {
  check_axes(config);
  Loader loader(config);
  SweepPlan plan;
  plan.axes = config.axes;
  std::vector<uint64_t> seeds = distinct(config.seeds);
  for (const Point& point : points_of(plan.axes)) {
    const Trained t = trained(loader, point);
    if (seeds.empty()) {
      for (int64_t i = 0; i < config.seed_count; ++i) {
        seeds.push_back(loader.load(t.settings).training.seed + static_cast<uint64_t>(i));
      }
    }
    const std::string begin = point.name(t.kind);
    for (const uint64_t seed : seeds) {
      const std::string name = cat(begin, begin.empty() ? "" : "-", kSeed, seed);
      const auto known =
          std::find_if(plan.runs.begin(), plan.runs.end(), [&](const SweepRun& r) { return r.name == name; });
      if (known != plan.runs.end()) {
        known->rows.push_back(point.chosen());
        continue;
      }
      ExperimentConfig run = loader.load(t.settings);
      run.training.seed = seed;
      name_dataset(loader, point, run);
      plan.runs.push_back({name, {point.chosen()}, std::move(run)});
    }
  }
  plan.experiment = plan.runs[0].config.id;
  plan.dataset = plan.runs[0].config.dataset_id;
  check_distinct(plan);
  return plan;
}

}  // namespace kdef
