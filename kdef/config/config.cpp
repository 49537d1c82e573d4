#include "kdef/config/config.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/base/text.h"
#include "data/raw/part_files.h"
#include "kdef/config/entries.h"
#include "kdef/config/keys.h"
#include "kdef/config/layers.h"
#include "kdef/config/prepared_data.h"
#include "kdef/config/yaml_value.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

using namespace config_keys;
namespace fs = std::filesystem;

// ---- From keys to the configuration.

// A network's settings with one entry per layer.
StudentConfig student_of(const NetworkDraft& n) {
  StudentConfig s = n.settings;
  const nn::NetworkType& type = nn::network_type(s.network);
  s.settings = network_settings(type, n.given);
  if (type.fuxictr) return {.network = s.network, .settings = s.settings};
  const auto units = n.given.find("hidden_units");
  if (units != n.given.end() && units->second.is_null()) units->second.expected("a list of integers");
  if (type.hidden_layers == nn::HiddenLayers::none) {
    s.hidden_units.clear();
    s.hidden_activations.clear();
  }
  const size_t hidden = s.hidden_units.size();
  const size_t layers = type.dropout_rates(hidden, s.settings);
  if (n.one_activation) s.hidden_activations.assign(hidden, n.settings.hidden_activations.at(0));
  if (n.one_dropout) s.dropout.assign(layers, n.settings.dropout.at(0));
  if (s.hidden_activations.size() != hidden) {
    n.activations_at.fail(cat("expected one activation, or one for each of the ", hidden, " hidden layers, found ",
                              s.hidden_activations.size()));
  }
  if (s.dropout.size() != layers) {
    n.dropout_at.fail(cat("expected one rate, or one for each of the ", layers, " layers, found ", s.dropout.size()));
  }
  return s;
}

// The students of a model, each with the settings that are its own or inherited.
std::vector<NetworkDraft> students_of(Draft& d, const ModelName& model) {
  ExperimentConfig& c = d.config;
  const auto given = [&](const char* key) { return d.given.count(key) != 0; };
  const auto unused = [&](const char* key) {
    if (given(key)) c.ignored.push_back(cat(key, " (", c.model_name, " does not use it)"));
  };

  std::vector<NetworkDraft> networks;
  const auto list = d.given.find("students");
  if (list != d.given.end() && !list->second.is_null()) {
    for (const YamlValue& item : list->second.list()) {
      NetworkDraft n = d.network;
      read_map(student_keys(), n, item);
      networks.insert(networks.end(), static_cast<size_t>(n.repeat), n);
    }
    if (networks.empty()) list->second.expected("at least one student");
    if (given("num_student")) {
      const std::vector<NetworkDraft> once = networks;
      for (int64_t i = 1; i < d.num_student; ++i) networks.insert(networks.end(), once.begin(), once.end());
    }
    for (const char* key : {"net1_dropout", "net2_dropout", "net3_dropout"}) unused(key);
  } else if (model.networks.size() > 1) {
    if (given("num_student") && d.num_student != model.students) {
      d.given.at("num_student")
          .fail(cat(c.model_name, " has ", model.students, " students; for others write model: KDEF"));
    }
    for (size_t i = 0; i < model.networks.size(); ++i) {
      NetworkDraft n = d.network;
      n.settings.network = model.networks[i];
      const auto dropout = d.dropouts.find(cat("net", i + 1, "_dropout"));
      if (dropout != d.dropouts.end()) n.settings.dropout = read_dropout(n, dropout->second);
      networks.push_back(n);
    }
  } else {
    NetworkDraft n = d.network;
    if (!model.networks.empty()) {
      if (given("network") && n.settings.network != model.networks[0]) {
        d.given.at("network").fail(
            cat(c.model_name, " is made of ", model.networks[0], "; for others write model: KDEF"));
      }
      n.settings.network = model.networks[0];
    }
    if (model.students != 0 && given("num_student") && d.num_student != model.students) {
      d.given.at("num_student")
          .fail(cat(c.model_name, " is one network; for several write model: KDEF, network: ", model.networks[0],
                    " and ensemble: mean, or another one"));
    }
    networks.assign(static_cast<size_t>(model.students != 0 ? model.students : d.num_student), n);
    for (const char* key : {"net1_dropout", "net2_dropout", "net3_dropout"}) unused(key);
  }
  return networks;
}

// What follows from the students: the embedding_dim of FuxiCTR's classes, and what does not fit them.
void settle_students(Draft& d) {
  ExperimentConfig& c = d.config;
  const auto dim = d.given.find("embedding_dim");
  for (const StudentConfig& s : c.model.students) {
    const nn::NetworkType& type = nn::network_type(s.network);
    if (dim != d.given.end() && dim->second.is_list() && type.find_key("order_dims") == nullptr) {
      dim->second.expected("one integer, since not all students are HOFM");
    }
    if (!s.hidden_units.empty() || type.hidden_layers != nn::HiddenLayers::required) continue;
    d.given.at(d.given.count("students") != 0 ? "students" : "hidden_units")
        .fail(cat("network ", s.network, " needs at least one hidden layer"));
  }
  const nn::NetworkType& first = nn::network_type(c.model.students[0].network);
  if (dim == d.given.end() && first.fuxictr) c.model.embedding_dim = first.embedding_dim;
}

// The kind of ensemble: by the objective, by the ensemble, or by the model's name.
EnsembleKind kind_of(const Draft& d, EnsembleKind of_model) {
  const auto plain = [](EnsembleKind kind) { return ensemble_type(kind).label_loss_alone(); };
  const EnsembleKind ensemble = d.ensemble.value_or(of_model);
  if (!d.objective) return ensemble;
  if (!plain(*d.objective)) {
    if (!d.ensemble || ensemble == *d.objective || ensemble == EnsembleKind::mean) return *d.objective;
    d.given.at("objective")
        .fail(cat("objective ", name_of(*d.objective), " trains the mean of the students, and ensemble is ",
                  name_of(ensemble), "; set ensemble to mean, or objective to none"));
  }
  if (plain(ensemble)) return ensemble;
  if (!d.ensemble) return EnsembleKind::mean;
  d.given.at("ensemble")
      .fail(cat("ensemble ", name_of(ensemble), " is objective ", name_of(ensemble),
                ", and objective is none; set ensemble to ",
                ensembles_where([](const EnsembleType& type) { return type.label_loss_alone(); })));
}

bool has_dropout(const StudentConfig& student) {
  const auto above_zero = []<class T>(const T& value) {
    if constexpr (std::is_same_v<T, double>) return value > 0;
    if constexpr (std::is_same_v<T, std::vector<double>>) {
      return std::any_of(value.begin(), value.end(), [](double rate) { return rate > 0; });
    }
    return false;
  };
  if (above_zero(student.dropout)) return true;
  const auto& settings = student.settings.entries();
  return std::any_of(settings.begin(), settings.end(), [&](const auto& setting) {
    return setting.first.find("dropout") != std::string::npos && std::visit(above_zero, setting.second.value);
  });
}

// What the objective does not read, and what it needs.
void settle_objective(Draft& d) {
  ExperimentConfig& c = d.config;
  const Objective& objective = ensemble_type(c.model.kind).objective;
  const ObjectiveConfig standard{}, &set = c.model.objective;
  if (!d.resolved && objective.cases.empty()) {
    for (const auto& [key, is_set] :
         {std::pair{"teach", set.teach != standard.teach}, std::pair{"peer", set.peer != standard.peer},
          std::pair{"examination", set.examination != standard.examination}}) {
      if (is_set) c.ignored.push_back(cat(key, " (only objective kdef has it)"));
    }
  }
  const std::vector<StudentConfig>& students = c.model.students;
  if (objective.passes > 1 && std::none_of(students.begin(), students.end(), has_dropout)) {
    c.notes.push_back(
        cat("objective ", objective.name, ": no student has dropout, so all passes agree; set net_dropout above 0"));
  }
}

void resolve_students(Draft& d) {
  ExperimentConfig& c = d.config;
  const ModelName& model = *find_row(models(), c.model_name);
  c.model.kind = kind_of(d, model.ensemble);
  c.model.students.clear();
  std::set<std::string> notes;
  for (const NetworkDraft& n : students_of(d, model)) {
    c.model.students.push_back(student_of(n));
    for (const std::string& note : n.notes) {
      if (notes.insert(note).second) c.notes.push_back(note);
    }
  }
  settle_students(d);
  settle_objective(d);
}

// Adds to `ignored` the keys at the top level that no student's network has.
void list_unused_keys(Draft& d) {
  const auto check = [&](const std::vector<std::string>& names, bool common) {
    for (const std::string& name : names) {
      const auto& students = d.config.model.students;
      const bool used = std::any_of(students.begin(), students.end(), [&](const StudentConfig& s) {
        const nn::NetworkType& type = nn::network_type(s.network);
        return has_setting(type, name) || (common && !type.fuxictr);
      });
      if (!used && d.given.count(name) != 0) {
        d.config.ignored.push_back(cat(name, " (", d.config.model_name, " does not use it)"));
      }
    }
  };
  check(common_key_names(), true);
  check(network_key_names(), false);
}

void check_dataset(const Draft& d, const std::string& entry) {
  const data::DatasetConfig& dataset = d.config.dataset;
  for (const char* key : {"feature_cols", "label_col", "train_data"}) {
    if (d.given.count(key) == 0) {
      const bool columns = std::string_view(key) == "feature_cols";
      throw InputError(cat(entry, ": data set '", d.config.dataset_id, "' has no key '", key, "'",
                           columns ? cat("; for data that FuxiCTR has prepared, its feature_map.json is expected in ",
                                         (fs::path(dataset.data_root) / d.config.dataset_id).string())
                                   : ""));
    }
  }
  if (std::none_of(dataset.fields.begin(), dataset.fields.end(), [](const auto& f) { return f.active; })) {
    d.given.at("feature_cols").fail("no column is active");
  }
  for (const data::FieldConfig& field : dataset.fields) {
    if (field.active && field.name == dataset.label) {
      throw InputError(cat(field.where, ": column '", field.name, "' is the label; it cannot be an input too"));
    }
  }
}

// Whether a larger weighted sum of metrics is better. A negative weight turns a metric's direction round. Where the
// metrics disagree: true, FuxiCTR's default.
bool higher_is_better(const std::map<std::string, double>& monitor) {
  return std::any_of(monitor.begin(), monitor.end(), [](const auto& entry) {
    const auto& [name, weight] = entry;
    return weight != 0 && find_metric(name)->higher_is_better() == (weight > 0);
  });
}

// What is measured: `metrics` and, as in FuxiCTR, what `monitor` names beside them.
void resolve_metrics(Draft& d) {
  ExperimentConfig& c = d.config;
  const char* key = "metrics";
  try {
    metrics_to_measure(*c.model.task, c.metrics);
    key = "monitor";
    std::vector<std::string> names = c.metrics;
    for (const auto& [name, weight] : c.training.monitor) {
      if (weight != 0) names.push_back(name);
    }
    c.training.metrics = metrics_to_measure(*c.model.task, names);
  } catch (const InputError& e) {
    d.given.at(key).fail(e.what());
  }
}

// The loss, the metrics, what is monitored and how labels are read follow from the task where they are not given.
void resolve_task(Draft& d) {
  ExperimentConfig& c = d.config;
  const Task& task = *c.model.task;
  const MetricList standard = metrics_of(task);
  const auto given = [&](const char* key) { return d.given.count(key) != 0; };
  c.dataset.label_kind = task.labels;
  if (task.labels == data::LabelKind::number && (!c.dataset.label_positive.empty() || c.dataset.label_threshold)) {
    d.given.at("label_col").fail(cat("task ", task.name, " reads numbers; positive and threshold make clicks"));
  }
  if (given("loss")) {
    const YamlValue& loss = d.given.at("loss");
    const std::vector<std::string>& names = task.loss_names;
    if (std::find(names.begin(), names.end(), lower_case(loss.text())) == names.end()) {
      loss.fail(cat("the loss of task ", task.name, " is ", names[0], ", found '", loss.text(), "'"));
    }
  }
  if (!given("metrics") && &task != &default_task()) {
    c.metrics.clear();
    for (const Metric& m : standard) c.metrics.push_back(m.name());
  }
  if (!given("monitor") && &task != &default_task()) c.training.monitor = {{standard[0].name(), 1.0}};
  if (!given("monitor_mode")) c.training.monitor_max = higher_is_better(c.training.monitor);
  resolve_metrics(d);
  for (const Metric& m : c.training.metrics) {
    if (!m.by_groups() || !c.dataset.group.empty()) continue;
    const bool listed = std::find(c.metrics.begin(), c.metrics.end(), m.name()) != c.metrics.end();
    const char* key = !listed && given("monitor") ? "monitor" : given("metrics") ? "metrics" : "task";
    d.given.at(key).fail(cat("metric ", m.name(), " is measured by groups; name their column with group_id: COLUMN"));
  }
  if (const std::string refusal = refusal_of(c.model.kind, task); !refusal.empty()) d.given.at("task").fail(refusal);
}

// A model of FuxiCTR has FuxiCTR's defaults.
void set_defaults(Draft& d) {
  if (!is_fuxictrs(*find_row(models(), d.config.model_name))) return;
  for (const Default& standard : fuxictr_defaults()) {
    if (d.given.count(standard.name) != 0) continue;
    find_row(experiment_keys(), standard.name)->read(d, parse_yaml(standard.value, "FuxiCTR", standard.name, false));
  }
}

// A file of version 1 has the settings of version 1 where the network of version 2 can have them.
void set_version_1(Draft& d) {
  const ModelName& model = *find_row(models(), d.config.model_name);
  if (d.resolved || d.dialect.version != 1 || !is_fuxictrs(model)) return;
  const NetworkOfVersion1* first = find_row(networks_of_version_1(), model.networks[0]);
  if (first == nullptr) return;
  std::string text;
  for (const Default& setting : first->settings) {
    const YamlValue value = parse_yaml(setting.value, "FuxiCTR 1", setting.name, false);
    d.network.given.emplace(setting.name, value);
    text += cat(text.empty() ? "" : ", ", setting.name, ": ", setting.value);
  }
  d.config.notes.push_back(
      text.empty()
          ? cat("model ", d.config.model_name, " is that of FuxiCTR 2; version 1 had it ", first->otherwise)
          : cat("model ", d.config.model_name, " is that of FuxiCTR 1: ", text, ", where nothing else is set"));
  d.needs_dialect = true;
}

// Rows are grouped by the ids of an input, as in FuxiCTR, or by the texts of a column. The texts of a column that is
// copied are those of its source.
void resolve_group(Draft& d) {
  data::DatasetConfig& dataset = d.config.dataset;
  const auto field = std::find_if(dataset.fields.begin(), dataset.fields.end(),
                                  [&](const data::FieldConfig& f) { return f.name == dataset.group; });
  const bool is_input = !dataset.group.empty() && field != dataset.fields.end() && field->active;
  dataset.group_by_id = d.group_by_id.value_or(is_input && !d.resolved);
  if (dataset.group_by_id) {
    const bool fits = is_input && field->type != data::FieldType::sequence;
    if (!fits) {
      d.given.at(d.group_by_id ? "group_by" : "group_id")
          .fail(
              "rows are grouped by the ids of an input column that is no sequence; name one in group_id, or write "
              "group_by: text");
    }
    return;
  }
  if (dataset.group.empty() || field == dataset.fields.end() || !field->is_made()) return;
  if (field->preprocess != data::Preprocess::none) {
    d.given.at("group_id").fail(cat("column '", field->name, "' is made by preprocess; name a column of the file"));
  }
  dataset.group = std::string(field->raw_column());
}

// A linear layer behind an embedding fits it. The weight of a row may be an input, which is rarely meant.
void check_fields(Draft& d) {
  ExperimentConfig& c = d.config;
  for (const data::FieldConfig& field : c.dataset.fields) {
    if (!field.active) continue;
    const int64_t dim = field.embedding_dim.value_or(c.model.embedding_dim);
    if (field.linear != 0 && field.linear != dim) {
      throw InputError(cat(field.where, ": column '", field.name, "': nn.Linear(", field.linear, ", ", field.linear,
                           ") is behind an embedding of ", dim,
                           " columns, and FuxiCTR fails then; the numbers must be ", "embedding_dim"));
    }
    const auto& fields = c.dataset.fields;
    if (const auto* owner = find_row(fields, field.share_embedding);
        owner != nullptr && owner->pretrained_emb.empty()) {
      const int64_t own = owner->embedding_dim.value_or(c.model.embedding_dim);
      if (own != dim) {
        throw InputError(cat(field.where, ": column '", field.name, "' shares the embedding of column '", owner->name,
                             "', whose embedding_dim is ", own, ", not ", dim, "; give both the same"));
      }
    }
    if (field.raw_column() == c.dataset.weight && !d.resolved) {
      c.notes.push_back(cat("column ", c.dataset.weight, " is the weight of the rows (weight_col) and an input, too"));
    }
  }
}

// FuxiCTR reads the files, and puts rows of train_data in their place.
void resolve_split(Draft& d) {
  data::DatasetConfig& dataset = d.config.dataset;
  const auto replace = [&](double size, std::string& path, const char* part) {
    if (size == 0 || path.empty()) return;
    d.config.ignored.push_back(cat(part, "_data (", part, "_size takes these rows from train_data)"));
    path.clear();
  };
  replace(dataset.valid_size, dataset.valid_data, "valid");
  replace(dataset.test_size, dataset.test_data, "test");
}

// Pretrained vectors are as long as the embeddings, where nothing else is said.
void resolve_pretrained(Draft& d) {
  for (data::FieldConfig& field : d.config.dataset.fields) {
    if (field.pretrained_emb.empty()) {
      field.pretrain_dim = 0;
    } else if (field.pretrain_dim == 0) {
      field.pretrain_dim = field.embedding_dim.value_or(d.config.model.embedding_dim);
    }
  }
}

// The data module knows no runs: it gets the vocabulary file of the one that the training starts from.
void resolve_init(Draft& d) {
  data::DatasetConfig& dataset = d.config.dataset;
  if (!d.config.init.empty()) {
    dataset.base_vocabulary = RunFiles(d.config.init).vocabulary();
  } else if (dataset.grow_vocabulary) {
    d.given.at("grow_vocabulary").fail("needs a run whose vocabulary grows: give init: RUN");
  }
}

Draft read_draft(const Layer& merged, const Dialect& dialect, bool resolved = false) {
  Draft d;
  d.given = merged;
  d.resolved = resolved;
  d.dialect = dialect;
  for (const Key<Draft>& key : experiment_keys()) {
    const auto value = merged.find(key.name);
    if (value != merged.end()) key.read(d, value->second);
  }
  d.config.dataset.id = d.config.dataset_id;
  set_defaults(d);
  set_version_1(d);
  resolve_group(d);
  resolve_split(d);
  if (d.needs_dialect) d.config.notes.push_back(describe(d.dialect));
  resolve_students(d);
  resolve_pretrained(d);
  resolve_init(d);
  check_fields(d);
  list_unused_keys(d);
  resolve_task(d);
  std::vector<std::string> once;
  for (const std::string& name : d.config.ignored) {
    if (std::find(once.begin(), once.end(), name) == once.end()) once.push_back(name);
  }
  d.config.ignored = once;
  return d;
}

// ---- Files.

// Replaces a path that is not there by the same with `ending`, or, if it is relative, by either where else paths of
// `folder` start.
void locate(std::string& path, const std::string& folder, const std::string& ending = "") {
  if (path.empty()) return;
  for (const fs::path& start : starts_of_paths(folder)) {
    for (const std::string& name : {path, path + ending}) {
      const std::string there = start.empty() ? name : (start / name).lexically_normal().string();
      if (!data::any_file(there)) continue;
      path = there;
      return;
    }
    if (fs::path(path).is_absolute()) return;
  }
}

// FuxiCTR adds the ending of prepared files to a path that lacks it.
std::string ending_of(const Draft& d) {
  const auto format = d.given.find("data_format");
  if (format == d.given.end() || format->second.is_null()) return "";
  const std::string name = lower_case(format->second.text());
  return name == "parquet" || name == "npz" || name == "h5" ? "." + name : "";
}

}  // namespace

ExperimentConfig config_keys::experiment_of(const Layer& files, const std::vector<std::string>& overrides,
                                            const std::string& id, const std::string& place,
                                            const std::vector<std::string>& folders, bool dataset_required) {
  Layer merged = files;
  for (const std::string& text : overrides) merge_override(merged, text);
  for (const std::string& folder : folders) add_prepared_data(merged, folder);
  Draft d = read_draft(merged, dialect_of(files, merged));
  if (dataset_required) check_dataset(d, place);
  d.config.id = id;
  data::DatasetConfig& dataset = d.config.dataset;
  for (const std::string& folder : folders) {
    locate(dataset.data_root, folder);
    for (std::string* path : {&dataset.train_data, &dataset.valid_data, &dataset.test_data}) {
      locate(*path, folder, ending_of(d));
    }
    for (data::FieldConfig& field : dataset.fields) locate(field.pretrained_emb, folder);
  }
  return d.config;
}

bool is_key(const std::string& name) { return find_row(experiment_keys(), key_of(name)) != nullptr; }

ExperimentConfig read_experiment(const std::string& yaml, const std::string& source) {
  Layer merged;
  merge(merged, parse_yaml(yaml, source, "").map());
  return read_draft(merged, dialect_of(merged, merged)).config;
}

ExperimentConfig load_experiment(const std::string& config_dir, const std::string& expid,
                                 const std::vector<std::string>& overrides, bool dataset_required) {
  const Entries models = load_entries(config_files(config_dir, "model_config"));
  const YamlValue& experiment = experiment_in(models, expid);
  Layer merged;
  if (const YamlValue* base = base_of(models, experiment)) merge(merged, base->map());
  merge(merged, experiment.map());

  Layer from_command_line;
  for (const std::string& text : overrides) {
    if (split_override(text).first == "dataset_id") merge_override(from_command_line, text);
  }
  const Layer& chosen = from_command_line.empty() ? merged : from_command_line;
  std::string place = experiment.where();
  if (const auto id = chosen.find("dataset_id"); id != chosen.end()) {
    const std::string dataset_id = id->second.text();
    const Entries datasets = load_entries(config_files(config_dir, "dataset_config", dataset_required));
    if (dataset_required || datasets.find(dataset_id) != nullptr) {
      const YamlValue& entry = dataset_in(datasets, dataset_id, id->second);
      merge(merged, entry.map());
      place = entry.where();
    }
  } else if (dataset_required) {
    throw InputError(cat(place, ": experiment '", expid, "' has no key 'dataset_id'"));
  }
  return experiment_of(merged, overrides, expid, place, {config_dir}, dataset_required);
}

namespace {

// Calls fn(key, value as it is written) for every key of config.yaml.
template <class Fn>
void for_resolved(const ExperimentConfig& config, Fn fn) {
  Draft d;
  d.config = config;
  for (const Key<Draft>& key : experiment_keys()) {
    if (key.write && key.resolved) fn(key.name, key.write(d));
  }
}

std::string yaml_line(const std::string& key, const std::string& value) {
  return cat(key, value[0] == '\n' ? ":" : ": ", value, "\n");
}

bool shapes_results(const std::string& key) {
  static const std::set<std::string> kWithoutEffect = {"experiment_id",    "model",          "model_root",
                                                       "checkpoint_every", "collapse_every", "tensorboard",
                                                       "baseline",         "divide_tables"};
  return kWithoutEffect.count(key) == 0;
}

}  // namespace

std::vector<std::string> overrides_for(EnsembleKind kind) {
  if (ensemble_type(kind).label_loss_alone()) return {"objective=none", cat("ensemble=", name_of(kind))};
  return {cat("objective=", name_of(kind)), "ensemble=null"};
}

std::string to_yaml(const ExperimentConfig& config) {
  std::string text;
  for_resolved(config, [&](const std::string& key, const std::string& value) { text += yaml_line(key, value); });
  return text;
}

std::string shaping_yaml(const ExperimentConfig& config) {
  std::string text;
  for_resolved(config, [&](const std::string& key, const std::string& value) {
    if (shapes_results(key)) text += yaml_line(key, value);
  });
  return text;
}

std::vector<KeyDifference> differences(const ExperimentConfig& before, const ExperimentConfig& after) {
  std::map<std::string, std::string> values;
  for_resolved(before, [&](const std::string& key, const std::string& value) { values[key] = value; });
  std::vector<KeyDifference> all;
  for_resolved(after, [&](const std::string& key, const std::string& value) {
    if (shapes_results(key) && values[key] != value) all.push_back({key, values[key], value});
  });
  return all;
}

std::string describe(const std::vector<KeyDifference>& differences) {
  std::string text;
  for (const KeyDifference& d : differences) {
    const bool one_line = (d.before + d.after).find('\n') == std::string::npos;
    text += cat(text.empty() ? "" : ", ", d.key, one_line ? cat(" (", d.before, " before, ", d.after, " now)") : "");
  }
  return text;
}

// config.yaml of a run has no key that the kdef which wrote it did not know.
static void merge_written(Layer& merged, const YamlValue& written) try {
  merge(merged, written.map());
} catch (const InputError& e) {
  throw InputError(cat(e.what(), "; if another version of kdef wrote this file, use that one or a newer one"));
}

ExperimentConfig read_resolved(const std::string& yaml, const std::string& source) {
  Layer merged;
  merge(merged, parse_yaml(yaml, source, "").map());
  return read_draft(merged, {}, true).config;
}

ExperimentConfig load_resolved(const std::string& path, const std::vector<std::string>& overrides) {
  Layer merged;
  merge_written(merged, load_yaml_file(path));
  for (const std::string& text : overrides) {
    const std::string name = split(split_override(text).first, '.')[0];
    const Key<Draft>* key = find_row(experiment_keys(), key_of(name));
    if (key != nullptr && key->write && !key->resolved) {
      throw InputError(cat(kCommandLine, ": key '", name, "': ", path,
                           " has the settings of each student, and takes students.0.KEY=VALUE, students.1.KEY=VALUE, ",
                           "...; to change ", name, " itself, train from a folder (--config DIR --expid ID)"));
    }
    merge_override(merged, text);
  }
  return read_draft(merged, {}, true).config;
}

}  // namespace kdef
