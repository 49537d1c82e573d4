#include "kdef/config/tuner.h"

#include <algorithm>
#include <boost/uuid/name_generator_md5.hpp>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/base/text.h"
#include "kdef/config/entries.h"
#include "kdef/config/layers.h"
#include "kdef/config/python_text.h"

namespace kdef {
namespace {

using namespace config_keys;
namespace fs = std::filesystem;

// A key of the base with the values that it takes.
struct Parameter {
  std::string name;
  YamlValue key;
  std::vector<YamlValue> values;
  std::vector<std::string> texts;  // of the values (python_text)
};
using Parameters = std::vector<Parameter>;
using Choice = std::vector<size_t>;  // the value of each parameter

Parameter* find(Parameters& parameters, const std::string& name) {
  const auto it = std::find_if(parameters.begin(), parameters.end(), [&](const auto& p) { return p.name == name; });
  return it == parameters.end() ? nullptr : &*it;
}

const std::string* single_text(const Parameters& parameters, const Choice& choice, const std::string& name) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].name == name) return &parameters[i].texts[choice[i]];
  }
  return nullptr;
}

// Adds entries as Python's dict.update() does: a known key keeps its place.
void update(Parameters& parameters, const std::vector<YamlValue::Entry>& entries) {
  for (const YamlValue::Entry& e : entries) {
    Parameter* known = find(parameters, e.name);
    (known != nullptr ? *known : parameters.emplace_back()) = {e.name, e.key, {e.value}, {python_text(e.value)}};
  }
}

void add_text(Parameters& parameters, const std::string& name, const std::string& text, const YamlValue& place) {
  YamlValue::Entry entry{name, YamlValue(place.node(), place.source(), name),
                         YamlValue(YAML::Node(text), place.source(), name, false)};
  Parameter* known = find(parameters, name);
  (known != nullptr ? *known : parameters.emplace_back()) = {name, entry.key, {entry.value}, {text}};
}

// Gives the parameters that tuner_space names their values.
void vary(Parameters& parameters, const YamlValue& space) {
  for (const YamlValue::Entry& e : space.map()) {
    Parameter* p = find(parameters, e.name);
    if (p == nullptr) continue;
    p->key = e.key;
    p->values = e.value.is_list() ? e.value.list() : std::vector{e.value};
    if (p->values.empty()) e.value.expected("at least one value");
    p->texts.clear();
    for (const YamlValue& v : p->values) p->texts.push_back(python_text(v));
  }
}

// How many choices there are; at most `limit` + 1.
size_t count_of(const Parameters& parameters, size_t limit) {
  size_t count = 1;
  for (const Parameter& p : parameters) count = std::min(count * std::min(p.values.size(), limit + 1), limit + 1);
  return count;
}

// Calls fn for every choice, the last parameter fastest.
void for_each_choice(const Parameters& parameters, const std::function<void(const Choice&)>& fn) {
  Choice choice(parameters.size(), 0);
  for (;;) {
    fn(choice);
    size_t at = parameters.size();
    while (at > 0 && ++choice[at - 1] == parameters[at - 1].values.size()) choice[--at] = 0;
    if (at == 0) return;
  }
}

// The first 8 hexadecimal digits of MD5. A name-based UUID (RFC 4122, version 3) is MD5 of the namespace's 16 bytes and
// the name, of which the version replaces bits behind the eighth digit. So the text's first 16 bytes are the namespace.
std::string md5_digits(const std::string& text) {
  constexpr size_t kNamespace = 16;
  if (text.size() < kNamespace) throw InputError("an experiment or a data set has no keys, so that it gets no name");
  boost::uuids::uuid first{};
  std::copy_n(text.begin(), kNamespace, first.begin());
  const boost::uuids::uuid id =
      boost::uuids::name_generator_md5(first)(text.data() + kNamespace, text.size() - kNamespace);
  constexpr char kHex[] = "0123456789abcdef";
  std::string digits;
  for (size_t i = 0; i < 4; ++i) {
    const uint8_t byte = id.begin()[i];
    digits += {kHex[byte >> 4], kHex[byte & 15]};
  }
  return digits;
}

// FuxiCTR's hash of parameters: of the sorted characters of their JSON, in which all values are texts.
std::string hash_of(const Parameters& parameters, const Choice& choice, const std::string& left_out = "",
                    const std::string& dataset_id = "") {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].name != left_out) json[parameters[i].name] = parameters[i].texts[choice[i]];
  }
  if (!dataset_id.empty()) json["dataset_id"] = dataset_id;
  std::string text = json.dump(4, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
  std::sort(text.begin(), text.end());
  return md5_digits(text);
}

// One data set of the product.
struct Dataset {
  std::string id;
  Choice choice;
};

// Data that FuxiCTR does not prepare keeps its name.
bool is_prepared(const Parameters& parameters, const Choice& choice) {
  const auto is = [&](const char* name, const char* value) {
    const std::string* text = single_text(parameters, choice, name);
    return text != nullptr && *text == value;
  };
  return is("data_format", "npz") || (is("data_format", "parquet") && is("rebuild_dataset", "False"));
}

// The entries of a tuner file.
struct Source {
  YamlValue root;
  const YamlValue::Entry* find(const std::string& name) const {
    const auto it = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.name == name; });
    return it == entries.end() ? nullptr : &*it;
  }
  const YamlValue& required(const std::string& name) const {
    if (const YamlValue::Entry* e = find(name)) return e->value;
    root.fail(cat("there is no key '", name, "'; it is no tuner file of FuxiCTR"));
  }
  std::vector<YamlValue::Entry> entries = root.map();
};

constexpr const char* kSource[] = {"base_config",    "base_expid",   "dataset_id",
                                   "dataset_config", "model_config", "tuner_space"};

// The folder of the base experiment.
std::string base_folder(const Source& source, const std::string& path, const std::string& replaced) {
  if (!replaced.empty()) return replaced;
  const std::string own = fs::path(path).parent_path().string();
  const YamlValue::Entry* e = source.find("base_config");
  if (e == nullptr) return own.empty() ? "." : own;
  const std::string written = e->value.text();
  if (fs::is_directory(written)) return written;
  const std::string beside = (fs::path(own) / written).lexically_normal().string();
  if (fs::is_directory(beside)) return beside;
  e->value.fail(cat("there is no folder ", written, " in ", fs::current_path().string(), ", and none at ", beside,
                    "; give another one with --base-config DIR"));
}

}  // namespace

struct TunerFile::Content {
  std::vector<std::string> folders;  // where relative paths are looked for
  std::string dataset_place;         // the data set's entry
  Parameters model, data;
  std::string experiment_id, dataset_id;
  std::vector<Dataset> datasets;
  std::vector<Choice> model_choices;  // of each experiment
  std::vector<size_t> dataset_of;     // of each experiment, by its place in `datasets`
  std::vector<Key> keys;
  std::vector<Experiment> experiments;
  std::vector<std::string> ignored;

  // Reads the base experiment.
  void read_model(const Source& source, const std::string& folder) {
    if (const YamlValue::Entry* inside = source.find("model_config")) {
      const Entries entries{inside->value.map(), {inside->value.source()}};
      update(model, experiment_in(entries, experiment_id).map());
      return;
    }
    const Entries entries = load_entries(config_files(folder, "model_config"));
    const YamlValue& experiment = experiment_in(entries, experiment_id);
    if (const YamlValue* base = base_of(entries, experiment)) update(model, base->map());
    update(model, experiment.map());
    add_text(model, "model_id", experiment_id, experiment);
  }

  // Reads the data set.
  void read_dataset(const Source& source, const std::string& folder) {
    const YamlValue::Entry* given = source.find("dataset_id");
    const Parameter* own = find(model, "dataset_id");
    if (given == nullptr && own == nullptr) {
      source.root.fail(cat("neither the file nor experiment '", experiment_id, "' has a key 'dataset_id'"));
    }
    const YamlValue& asked = given != nullptr ? given->value : own->values[0];
    dataset_id = asked.text();
    if (const YamlValue::Entry* inside = source.find("dataset_config")) {
      const Entries entries{inside->value.map(), {inside->value.source()}};
      const YamlValue& entry = dataset_in(entries, dataset_id, asked);
      dataset_place = entry.where();
      update(data, entry.map());
      return;
    }
    const Entries entries = load_entries(config_files(folder, "dataset_config"));
    const YamlValue& entry = dataset_in(entries, dataset_id, asked);
    dataset_place = entry.where();
    add_text(data, "dataset_id", dataset_id, entry);
    update(data, entry.map());
  }

  // FuxiCTR's templates have the data set TBD: theirs is the tuner file's, and the name is made of model and data set.
  void settle_template(const Source& source) {
    const Parameter* own = find(model, "dataset_id");
    if (own == nullptr || own->texts[0] != "TBD") return;
    const Parameter* name = find(model, "model");
    if (name == nullptr) source.root.fail(cat("experiment '", experiment_id, "' has no key 'model'"));
    experiment_id = name->texts[0] + "_" + dataset_id;
    add_text(model, "dataset_id", dataset_id, source.root);
  }

  void read_space(const YamlValue& space) {
    for (const YamlValue::Entry& e : space.map()) {
      if (e.name == "dataset_id" && e.value.is_list() && e.value.list().size() > 1) {
        e.key.fail(cat("the data set of this file is '", dataset_id,
                       "', and the space cannot vary it; name another one by "
                       "the key dataset_id of the file, or compare data sets by kdef sweep --over dataset_id=A,B"));
      }
      if (find(model, e.name) != nullptr || find(data, e.name) != nullptr) continue;
      std::vector<std::string> known = row_names(model);
      for (const std::string& name : row_names(data)) known.push_back(name);
      e.key.fail(cat("neither the base experiment nor data set '", dataset_id, "' has the key '", e.name,
                     "', so that it cannot be tuned", did_you_mean(e.name, known), "; add it to the base"));
    }
    vary(model, space);
    vary(data, space);
    const size_t count = count_of(model, kMaxExperiments) * count_of(data, kMaxExperiments);
    if (count > kMaxExperiments) {
      space.fail(cat("the product of the values is more than ", kMaxExperiments, " experiments; give fewer values"));
    }
  }

  void list_datasets() {
    for_each_choice(data, [&](const Choice& choice) {
      const std::string id = is_prepared(data, choice) ? dataset_id : cat(dataset_id, "_", hash_of(data, choice));
      const auto known = std::find_if(datasets.begin(), datasets.end(), [&](const Dataset& d) { return d.id == id; });
      if (known == datasets.end()) {
        datasets.push_back({id, choice});
      } else {
        known->choice = choice;
      }
    });
  }

  // The places of parameters that vary. The name of the data set follows from the data set, and the seed is no key of
  // its own but what is averaged over.
  static std::vector<size_t> varied(const Parameters& parameters) {
    std::vector<size_t> places;
    for (size_t i = 0; i < parameters.size(); ++i) {
      const std::string& name = parameters[i].name;
      if (parameters[i].values.size() > 1 && name != "dataset_id" && name != "seed") places.push_back(i);
    }
    return places;
  }

  void list_experiments() {
    const std::vector<size_t> of_model = varied(model), of_data = varied(data);
    for (const size_t i : of_model) keys.push_back({model[i].name, model[i].texts});
    for (const size_t i : of_data) keys.push_back({data[i].name, data[i].texts});
    for_each_choice(model, [&](const Choice& choice) {
      for (size_t d = 0; d < datasets.size(); ++d) {
        std::string number = cat(experiments.size() + 1);
        number.insert(0, number.size() < 3 ? 3 - number.size() : 0, '0');
        Experiment e{cat(experiment_id, "_", number, "_", hash_of(model, choice, "model_id", datasets[d].id)),
                     datasets[d].id,
                     {}};
        for (const size_t i : of_model) e.values.push_back(choice[i]);
        for (const size_t i : of_data) e.values.push_back(datasets[d].choice[i]);
        experiments.push_back(std::move(e));
        model_choices.push_back(choice);
        dataset_of.push_back(d);
      }
    });
  }
};

TunerFile::TunerFile(const std::string& path, const std::string& base_config, const std::string& base_expid)
    : content_(std::make_unique<Content>()) {
  Content& c = *content_;
  const Source source{load_yaml_file(path)};
  const YamlValue& space = source.required("tuner_space");
  c.experiment_id = base_expid.empty() ? source.required("base_expid").text() : base_expid;
  for (const YamlValue::Entry& e : source.entries) {
    if (std::find(std::begin(kSource), std::end(kSource), e.name) == std::end(kSource)) c.ignored.push_back(e.name);
  }
  const bool inside = source.find("model_config") != nullptr && source.find("dataset_config") != nullptr;
  const std::string folder = inside ? "" : base_folder(source, path, base_config);
  c.folders = {folder, fs::path(path).parent_path().string()};
  std::erase(c.folders, "");
  if (c.folders.empty()) c.folders = {"."};
  c.read_model(source, folder);
  c.read_dataset(source, folder);
  c.settle_template(source);
  c.read_space(space);
  c.list_datasets();
  c.list_experiments();
}

TunerFile::~TunerFile() = default;
TunerFile::TunerFile(TunerFile&&) noexcept = default;

const std::vector<TunerFile::Key>& TunerFile::keys() const { return content_->keys; }
const std::vector<TunerFile::Experiment>& TunerFile::experiments() const { return content_->experiments; }
const std::string& TunerFile::base_experiment() const { return content_->experiment_id; }
const std::string& TunerFile::dataset() const { return content_->dataset_id; }
const std::vector<std::string>& TunerFile::ignored() const { return content_->ignored; }

ExperimentConfig TunerFile::load(size_t index, const std::vector<std::string>& overrides) const {
  const Content& c = *content_;
  const Dataset& dataset = c.datasets[c.dataset_of[index]];
  Layer merged;
  const auto add = [&](const Parameters& parameters, const Choice& choice) {
    std::vector<YamlValue::Entry> entries;
    for (size_t i = 0; i < parameters.size(); ++i) {
      const Parameter& p = parameters[i];
      if (p.name != "model_id" && p.name != "dataset_id") entries.push_back({p.name, p.key, p.values[choice[i]]});
    }
    merge(merged, entries);
  };
  add(c.model, c.model_choices[index]);
  add(c.data, dataset.choice);
  for (const std::string& text : overrides) {
    if (split_override(text).first == "dataset_id") {
      throw InputError(cat(text, ": the tuner file names the data set; change its dataset_id"));
    }
  }
  merged.insert_or_assign("dataset_id", YamlValue(YAML::Node(dataset.id), "the tuner file", "dataset_id", false));
  return experiment_of(merged, overrides, c.experiments[index].id, c.dataset_place, c.folders);
}

}  // namespace kdef
