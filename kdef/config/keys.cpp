#include "kdef/config/keys.h"

#include <bit>
#include <map>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/base/text.h"
#include "data/field_keys.h"
#include "kdef/config/key_types.h"
#include "kdef/measure/metric.h"

namespace kdef::config_keys {

const std::vector<ModelName>& models() {
  static const std::vector<ModelName> all = [] {
    std::vector<ModelName> names = {
        {"KDEF", EnsembleKind::kdef, 0, {}},
        {"EKTF", EnsembleKind::kdef, 0, {"mlp"}},
        {"EKTF_L", EnsembleKind::kdef, 3, {"product", "kdef_finalnet", "exponential_cross"}},
        {"MLPs_mean", EnsembleKind::mean, 0, {"mlp"}},
        {"MLP_mean", EnsembleKind::mean, 0, {"mlp"}},
        {"MLPs_sum", EnsembleKind::sum, 0, {"mlp"}},
        {"MLPs_concat", EnsembleKind::concat, 0, {"mlp"}},
        {"MLP", EnsembleKind::mean, 1, {"mlp"}},
    };
    names.push_back({"FINAL", EnsembleKind::mean, 1, {"FinalNet"}});  // its name up to FuxiCTR 2.1
    // Every class of FuxiCTR under its name: the network alone.
    for (const nn::NetworkType& type : nn::network_types()) {
      if (type.fuxictr) names.push_back({type.name.c_str(), EnsembleKind::mean, 1, {type.name}});
    }
    return names;
  }();
  return all;
}

namespace {

// Names that meant a network of this program before they got FuxiCTR's meaning, as they were written then, and the name
// of that network today; empty: it is not there any more.
const std::map<std::string_view, std::string_view> kFormerNames = {{"finalnet", "kdef_finalnet"},
                                                                   {"dcnv2", "kdef_dcnv2"},
                                                                   {"xdeepfm", "kdef_xdeepfm"},
                                                                   {"afn", "kdef_afn"},
                                                                   {"autoint", "kdef_autoint"},
                                                                   {"fm", ""},
                                                                   {"deepfm", ""},
                                                                   {"dcn", ""}};

std::string read_network(NetworkDraft& n, const YamlValue& v) {
  const std::string name = v.one_of(nn::network_names());
  if (const auto former = kFormerNames.find(v.text()); former != kFormerNames.end()) {
    n.notes.push_back(cat("network ", former->first, " is FuxiCTR's ", name, ", with its keys and defaults; ",
                          former->second.empty() ? "the network that the name meant before is not there any more"
                                                 : cat("the name meant ", former->second, " before")));
  }
  return name;
}

}  // namespace
bool is_fuxictrs(const ModelName& model) {
  return model.networks.size() == 1 && nn::network_type(model.networks[0]).fuxictr;
}

[[noreturn]] void fail_unknown(const YamlValue& key, const std::string& name, const std::vector<std::string>& known) {
  // Keys of other programs whose words do not lead to the name here.
  static const std::map<std::string_view, const char*> kElsewhere = {
      {"lr", "learning_rate"}, {"weight_decay", "net_regularizer"}, {"max_epochs", "epochs"}};
  for (const ForeignKeys& foreign : foreign_keys()) {
    if (std::find(foreign.keys.begin(), foreign.keys.end(), name) == foreign.keys.end()) continue;
    key.fail(cat("this key is FuxiCTR's for ", foreign.networks, ", which this program does not have"));
  }
  const auto elsewhere = kElsewhere.find(name);
  const bool has =
      elsewhere != kElsewhere.end() && std::find(known.begin(), known.end(), elsewhere->second) != known.end();
  const std::string& nearest = has ? elsewhere->second : nearest_name(name, known);
  throw InputError(cat(key.where(), ": unknown key '", key.key(), "'", spelt_out(name),
                       has || is_near(name, nearest, 0.25) || !spelt_out(name).empty()
                           ? cat("; the nearest known key is '", nearest, "'")
                           : "; kdef train --keys lists the known keys"));
}

// Whether FuxiCTR has a network of this name, and this program has not.
static bool is_absent(const std::string& network) {
  const auto has_it = [&](const ForeignKeys& foreign) {
    const std::vector<std::string> names = split(foreign.networks, ',');
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return name == network || name == " " + network; });
  };
  return std::any_of(foreign_keys().begin(), foreign_keys().end(), has_it);
}

// The network that is meant by a name as FuxiCTR or a paper writes it: letters and digits alone count. Empty: none.
static std::string network_meant_by(const std::string& name) {
  const auto plain = [](const std::string& text) {
    std::string letters = lower_case(text);
    std::erase_if(letters, [](char c) { return !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')); });
    return letters;
  };
  for (const std::string& network : nn::network_names()) {
    if (plain(network) == plain(name)) return network;
  }
  return "";
}

std::vector<double> read_dropout(NetworkDraft& n, const YamlValue& v) {
  n.dropout_at = v;
  n.one_dropout = !v.is_list();
  std::vector<double> rates;
  for (const YamlValue& item : n.one_dropout ? std::vector{v} : v.list()) rates.push_back(item.real(0, 1, true));
  return rates;
}

namespace {

// Limits far above any use: a larger number is a typing error, and the message should say so before memory runs out.
constexpr int64_t kMaxStudents = 1000, kMaxWidth = 1 << 20;

// ---- Enumerations as they are written.

// The kinds that have an objective of their own, by its name, and none.
const std::vector<Choice<EnsembleKind>> kObjectives = [] {
  std::vector<Choice<EnsembleKind>> choices;
  for (const EnsembleType& type : ensemble_types()) {
    if (!type.label_loss_alone()) choices.push_back({type.name, type.kind});
  }
  choices.push_back({"none", EnsembleKind::mean});
  return choices;
}();
// The kinds without one, by their output. The name kdef for the mean with objective kdef is older than the objectives.
const std::vector<Choice<EnsembleKind>> kEnsembles = [] {
  std::vector<Choice<EnsembleKind>> choices{{"kdef", EnsembleKind::kdef}};
  for (const EnsembleType& type : ensemble_types()) {
    if (type.label_loss_alone()) choices.push_back({type.name, type.kind});
  }
  return choices;
}();
const auto kPrecisions = choices_of(ops::kPrecisions, &ops::PrecisionName::value);
const auto kOptimizers = choices_of(nn::kOptimizers, &nn::OptimizerEntry::kind);
const auto kExaminations = choices_of(kdef::kExaminations, &ExaminationName::value);
const std::vector<Choice<bool>> kBaselines = {{"logistic_regression", true}, {"none", false}};
const std::vector<Choice<bool>> kMonitorModes = {{"max", true}, {"min", false}};
// The name of a metric, as kdef writes it.
std::string read_metric(const YamlValue& v) {
  if (v.is_scalar()) {
    if (const std::optional<Metric> metric = find_metric(v.text())) return metric->name();
  }
  return v.one_of(metric_names());
}

void read_objective(Draft& d, const YamlValue& v) {
  const std::string text = v.is_scalar() ? lower_case(v.text()) : "";
  if (text != "fused" && text != "composed") {
    d.objective = v.is_null() ? std::nullopt : std::optional(read_choice(kObjectives, v));
    return;
  }
  // What the key meant before there were several objectives.
  d.config.model.fused = text == "fused";
  if (!d.resolved)
    d.config.notes.push_back(
        cat("objective: ", text, " is written fused: ", text == "fused" ? "true" : "false", " today"));
}

// Every name of every task's label loss.
std::vector<std::string> loss_names() {
  std::vector<std::string> names;
  for (const Task& task : tasks()) names.insert(names.end(), task.loss_names.begin(), task.loss_names.end());
  return names;
}

// ---- Regularizers: 0, null, 1.e-5, l1(1e-5), l2(1e-5), l1_l2(1e-6, 1e-5).

nn::Regularizer read_regularizer(const YamlValue& v) {
  constexpr const char* kExpected = "a number (L2), l1(A), l2(B), l1_l2(A, B), 0 or null";
  nn::Regularizer result;
  if (v.is_null()) return result;
  if (v.is_integer()) {
    if (v.real(0, kInfinity) != 0) {
      v.fail(cat("FuxiCTR takes a whole number as no regularizer at all; write ", v.node().Scalar(), ".0 or 0"));
    }
    return result;
  }
  const std::string text = v.is_scalar() ? v.text() : "";
  const size_t open = text.find('(');
  if (open == std::string::npos) {
    result.l2 = v.real(0, kInfinity);
    return result;
  }
  if (text.back() != ')') v.expected(kExpected);
  const std::string name = text.substr(0, open);
  const YamlValue arguments =
      parse_yaml("[" + text.substr(open + 1, text.size() - open - 2) + "]", v.where(), v.key(), false);
  const std::vector<YamlValue> numbers = arguments.list();
  if ((name == "l1" || name == "l2") && numbers.size() == 1) {
    (name == "l1" ? result.l1 : result.l2) = numbers[0].real(0, kInfinity);
  } else if (name == "l1_l2" && numbers.size() == 2) {
    result.l1 = numbers[0].real(0, kInfinity);
    result.l2 = numbers[1].real(0, kInfinity);
  } else {
    v.expected(kExpected);
  }
  return result;
}

std::string write_regularizer(const nn::Regularizer& r) {
  if (r.l1 != 0) return yaml_text(cat("l1_l2(", yaml_number(r.l1), ", ", yaml_number(r.l2), ")"));
  return r.l2 == 0 ? "0" : yaml_text(cat("l2(", yaml_number(r.l2), ")"));
}

template <class At>
Key<Draft> regularizer_key(const char* name, At at, const char* meaning) {
  return {name, "number, l1(A), l2(B), l1_l2(A, B), null", meaning,
          [=](Draft& d, const YamlValue& v) { at(d) = read_regularizer(v); },
          [=](const Draft& d) { return write_regularizer(at(d)); }};
}

// ---- Keys of a network. At the top level they are for all students, in an entry of `students` for one.

std::vector<std::string> read_activations(NetworkDraft& n, const YamlValue& v) {
  n.activations_at = v;
  n.one_activation = !v.is_list();
  std::vector<std::string> names;
  for (const YamlValue& item : n.one_activation ? std::vector{v} : v.list()) {
    names.push_back(item.is_null() ? "none" : item.one_of(nn::activation_names()));
  }
  return names;
}

template <class V, class Write>
std::string write_layers(const std::vector<V>& values, bool one, Write write) {
  return one ? write(values.at(0)) : write_list(values, write);
}

template <class At>
Key<NetworkDraft> widths_key(const char* name, At at, const char* meaning) {
  return {name, cat("list of integers in [1, ", kMaxWidth, "]"), meaning,
          [=](NetworkDraft& n, const YamlValue& v) {
            if (v.is_null()) return;  // some networks have it; student_of() refuses it for the others
            at(n).clear();
            for (const YamlValue& item : v.list()) at(n).push_back(item.integer(1, kMaxWidth));
          },
          [=](const NetworkDraft& n) { return write_list(at(n), [](int64_t u) { return cat(u); }); }};
}

// ---- Settings that only some networks have (nn/networks/registry.h).

nn::SettingValue read_setting(const nn::SettingKey& key, const YamlValue& v) {
  if (v.is_null() && key.null) return *key.null;
  const auto one = [&]<class T>(const T&, const YamlValue& item) -> T {
    if constexpr (std::is_same_v<T, bool>) return item.boolean();
    if constexpr (std::is_same_v<T, int64_t>)
      return item.integer(static_cast<int64_t>(key.min), static_cast<int64_t>(key.max));
    if constexpr (std::is_same_v<T, double>) return item.real(key.min, key.max, key.below);
    if constexpr (std::is_same_v<T, std::string>) return key.choices.empty() ? item.text() : item.one_of(key.choices);
  };
  return std::visit(
      [&]<class T>(const T& standard) -> nn::SettingValue {
        if constexpr (requires { typename T::allocator_type; } && !std::is_same_v<T, std::string>) {
          T list;
          for (const YamlValue& item : key.per_layer && !v.is_list() ? std::vector{v} : v.list()) {
            const bool null = item.is_null() && key.per_layer && key.null;
            list.push_back(null ? std::get<T>(key.null->value).at(0) : one(typename T::value_type{}, item));
          }
          return list;
        } else {
          return one(standard, v);
        }
      },
      key.standard.value);
}

}  // namespace

std::string write_setting(const nn::SettingValue& setting) {
  const auto one = []<class T>(const T& v) -> std::string {
    if constexpr (std::is_same_v<T, bool>) return v ? "true" : "false";
    if constexpr (std::is_same_v<T, int64_t>) return cat(v);
    if constexpr (std::is_same_v<T, double>) return yaml_number(v);
    if constexpr (std::is_same_v<T, std::string>) return yaml_text(v);
  };
  return std::visit(
      [&]<class T>(const T& v) -> std::string {
        if constexpr (requires { typename T::allocator_type; } && !std::is_same_v<T, std::string>) {
          return write_list(v, one);
        } else {
          return one(v);
        }
      },
      setting.value);
}

namespace {

// The texts of(key) of all networks that have the key: "A, B: text" where two have the same text, otherwise "A: text;
// B: other text".
template <class Of>
std::string by_network(const std::string& name, bool say_networks, Of of) {
  std::vector<std::pair<std::string, std::string>> said;  // text, networks
  for (const nn::NetworkType& type : nn::network_types()) {
    const nn::SettingKey* key = type.find_key(name);
    if (key == nullptr) continue;
    const std::string text = of(*key);
    const auto it = std::find_if(said.begin(), said.end(), [&](const auto& s) { return s.first == text; });
    if (it == said.end())
      said.emplace_back(text, type.name);
    else
      it->second += ", " + type.name;
  }
  if (said.size() == 1 && !say_networks) return said[0].first;
  std::string all;
  for (const auto& [text, networks] : said) all += cat(all.empty() ? "" : "; ", networks, ": ", text);
  return all;
}

Key<NetworkDraft> network_key(const std::string& name) {
  Key<NetworkDraft> key;
  key.name = name;
  key.type = by_network(name, false, [](const nn::SettingKey& k) { return k.type(); });
  key.meaning = by_network(name, true, [](const nn::SettingKey& k) { return k.meaning; });
  key.standard = by_network(name, false, [](const nn::SettingKey& k) { return write_setting(k.standard); });
  key.read = [name](NetworkDraft& n, const YamlValue& v) {
    // The student's network is not known yet. A value that no network accepts is refused here.
    std::optional<InputError> refusal;
    for (const nn::NetworkType& type : nn::network_types()) {
      const nn::SettingKey* setting = type.find_key(name);
      if (setting == nullptr) continue;
      try {
        read_setting(*setting, v);
        n.given.insert_or_assign(name, v);
        return;
      } catch (const InputError& e) {
        if (!refusal) refusal = e;
      }
    }
    throw InputError(*refusal);
  };
  key.write = [name](const NetworkDraft& n) {
    const nn::SettingValue* value = n.settings.settings.find(name);
    return value == nullptr ? "" : write_setting(*value);
  };
  return key;
}

// A key whose value is a map: its entries are the settings NAME.ENTRY.
Key<NetworkDraft> map_of_settings(const std::string& name, const std::vector<std::string>& settings) {
  std::vector<Key<NetworkDraft>> entries;
  Key<NetworkDraft> key;
  key.name = name;
  key.type = "map";
  for (const std::string& setting : settings) {
    entries.push_back(network_key(setting));
    Key<NetworkDraft>& entry = entries.back();
    entry.name = setting.substr(name.size() + 1);
    key.meaning += cat(key.meaning.empty() ? "" : "; ", "`", entry.name, "` (", entry.type, "), ", entry.meaning);
    key.standard += cat(key.standard.empty() ? "" : ", ", entry.name, ": ", entry.standard);
  }
  key.standard = "{" + key.standard + "}";
  key.read = [entries](NetworkDraft& n, const YamlValue& v) {
    if (!v.is_null()) read_map(entries, n, v);
  };
  key.write = [entries](const NetworkDraft& n) {
    std::string text;
    for (const Key<NetworkDraft>& entry : entries) {
      const std::string value = entry.write(n);
      if (!value.empty()) text += cat(text.empty() ? "" : ", ", entry.name, ": ", value);
    }
    return text.empty() ? "" : "{" + text + "}";
  };
  return key;
}

// The settings that the entries of the key `name`, if it is a map, stand for.
std::vector<std::string> entries_of(const std::string& name) {
  std::vector<std::string> found;
  for (const nn::NetworkType& type : nn::network_types()) {
    for (const nn::SettingKey& key : type.keys) {
      if (!key.name.starts_with(name + ".")) continue;
      if (std::find(found.begin(), found.end(), key.name) == found.end()) found.push_back(key.name);
    }
  }
  return found;
}

// A common key of the networks of KDEF's authors, which FuxiCTR's networks may have as a setting of their own.
Key<NetworkDraft> also_a_setting(const Key<NetworkDraft>& key) {
  Key<NetworkDraft> both = key;
  both.read = [name = key.name, read = key.read](NetworkDraft& n, const YamlValue& v) {
    read(n, v);
    n.given.insert_or_assign(name, v);
  };
  both.write = [name = key.name, write = key.write](const NetworkDraft& n) {
    if (!nn::network_type(n.settings.network).fuxictr) return write(n);
    const nn::SettingValue* value = n.settings.settings.find(name);
    return value == nullptr ? "" : write_setting(*value);
  };
  return both;
}

const std::vector<Key<NetworkDraft>>& network_keys() {
  static const std::vector<Key<NetworkDraft>> keys = [] {
    std::vector<Key<NetworkDraft>> all = {
        {"network", joined(nn::network_names()), "the network; see the table of networks",
         [](NetworkDraft& n, const YamlValue& v) { n.settings.network = read_network(n, v); },
         [](const NetworkDraft& n) { return yaml_text(n.settings.network); }},
        widths_key("hidden_units", KDEF_AT(settings.hidden_units), "width of each hidden layer"),
        {"hidden_activations", cat(joined(nn::activation_names()), ", or a list of them"),
         "the activation of all hidden layers, or one for each",
         [](NetworkDraft& n, const YamlValue& v) { n.settings.hidden_activations = read_activations(n, v); },
         [](const NetworkDraft& n) {
           return write_layers(n.settings.hidden_activations, n.one_activation, yaml_text);
         }},
        {"net_dropout", "number in [0, 1), or a list of them",
         "dropout rate of all layers, or one for each; the name `dropout` is accepted too",
         [](NetworkDraft& n, const YamlValue& v) { n.settings.dropout = read_dropout(n, v); },
         [](const NetworkDraft& n) { return write_layers(n.settings.dropout, n.one_dropout, yaml_number); }},
        boolean_key<NetworkDraft>("batch_norm", KDEF_AT(settings.batch_norm),
                                  "batch normalisation in every hidden layer"),
        boolean_key<NetworkDraft>("layer_norm", KDEF_AT(settings.layer_norm),
                                  "layer normalisation in every hidden layer, if batch_norm is false"),
    };
    for (Key<NetworkDraft>& key : all) {
      if (key.name != "network") key = also_a_setting(key);
    }
    for (const std::string& name : network_key_names()) {
      const std::vector<std::string> entries = entries_of(name);
      all.push_back(entries.empty() ? network_key(name) : map_of_settings(name, entries));
    }
    return all;
  }();
  return keys;
}

// ---- Keys whose value is more than one scalar.

void read_monitor(Draft& d, const YamlValue& v) {
  std::map<std::string, double> monitor;
  if (v.is_map()) {
    for (const YamlValue::Entry& e : v.map()) {
      monitor[read_metric(e.key)] = e.value.real(-kInfinity, kInfinity);
    }
  } else {
    monitor[read_metric(v)] = 1;
  }
  if (std::all_of(monitor.begin(), monitor.end(), [](const auto& m) { return m.second == 0; })) {
    v.fail("at least one metric must have a weight that is not 0");
  }
  d.config.training.monitor = monitor;
}

std::string write_monitor(const Draft& d) {
  std::string text;
  for (const auto& [name, weight] : d.config.training.monitor) {
    text += cat(text.empty() ? "" : ", ", name, ": ", yaml_number(weight));
  }
  return "{" + text + "}";
}

std::string write_students(const Draft& d) {
  std::string text;
  for (const StudentConfig& student : d.config.model.students) {
    NetworkDraft n;
    n.settings = student;
    n.one_activation = n.one_dropout = false;
    const std::vector<std::string> all = row_names(student_keys());
    text += "\n  - " + write_map(student_keys(), n, {all.begin(), all.end()});
  }
  return text.empty() ? "null" : text;
}

template <class T>
std::string markdown_table(const std::vector<Key<T>>& keys) {
  std::string text = "| Key | Type | Default | Meaning |\n| --- | --- | --- | --- |\n";
  const T standard{};
  for (const Key<T>& key : keys) {
    const std::string value = !key.standard.empty() ? key.standard : key.write ? key.write(standard) : "";
    text += cat("| `", key.name, "` | ", key.type, " | ", value.empty() ? "" : "`" + value + "`", " | ", key.meaning,
                " |\n");
  }
  return text;
}

// ---- Keys of an experiment.

Key<Draft> numbered_dropout_key(const char* name, const char* meaning) {
  return {name,
          "number in [0, 1), or a list of them",
          meaning,
          [=](Draft& d, const YamlValue& v) { d.dropouts[name] = v; },
          [](const Draft&) { return "net_dropout"; },
          false};
}

}  // namespace

bool has_setting(const nn::NetworkType& type, const std::string& key) {
  return std::any_of(type.keys.begin(), type.keys.end(),
                     [&](const auto& setting) { return setting.name == key || setting.name.starts_with(key + "."); });
}

std::vector<std::string> network_key_names() {
  std::vector<std::string> names, known = common_key_names();
  for (const nn::NetworkType& type : nn::network_types()) {
    for (const nn::SettingKey& key : type.keys) {
      const std::string name = key.name.substr(0, key.name.find('.'));
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      known.push_back(name);
      names.push_back(name);
    }
  }
  return names;
}

const std::vector<std::string>& common_key_names() {
  static const std::vector<std::string> names = {"hidden_units", "hidden_activations", "net_dropout", "batch_norm",
                                                 "layer_norm"};
  return names;
}

nn::Settings network_settings(const nn::NetworkType& type, const std::map<std::string, YamlValue>& given) {
  nn::Settings settings = type.resolved({});
  for (const nn::SettingKey& key : type.keys) {
    const auto value = given.find(key.name);
    if (value != given.end()) settings.set(key.name, read_setting(key, value->second));
  }
  for (const nn::MlpKeys& mlp : type.mlps) {
    const auto [key, problem] = mlp.problem(settings);
    if (!key.empty()) given.at(given.count(key) != 0 ? key : mlp.units).fail(problem);
  }
  return settings;
}

const std::vector<Key<NetworkDraft>>& student_keys() {
  static const std::vector<Key<NetworkDraft>> keys = [] {
    std::vector<Key<NetworkDraft>> all = network_keys();
    all.push_back(integer_key<NetworkDraft>("num_student", KDEF_AT(repeat), 1, "number of students with these settings",
                                            kMaxStudents));
    all.back().resolved = false;
    return all;
  }();
  return keys;
}

Key<Draft> shards_key(const char* meaning) {
  Key<Draft> key = integer_key<Draft>("shards", KDEF_AT(config.training.shards), 1, meaning);
  key.read = [read = key.read](Draft& d, const YamlValue& v) {
    read(d, v);
    if (!std::has_single_bit(static_cast<uint64_t>(d.config.training.shards))) v.expected("a power of two, as 8");
  };
  return key;
}

Key<Draft> optimizer_key() {
  Key<Draft> key = choice_key<Draft>("optimizer", KDEF_AT(config.training.optimizer.kind), kOptimizers,
                                     nn::optimizer_meanings().c_str());
  key.read = [read = key.read](Draft& d, const YamlValue& v) {
    // FuxiCTR takes the class of torch.optim by this spelling, with its weight_decay of 0.01.
    if (v.is_scalar() && v.text() == "AdamW") {
      v.fail(
          "AdamW in FuxiCTR makes every parameter smaller by 0.01 of the learning rate at each step, and has the "
          "regularizers in the loss; kdef has no such decay. For the regularizers as decay write adamw, for none of "
          "it adam");
    }
    read(d, v);
  };
  return key;
}

const std::vector<Key<Draft>>& experiment_keys() {
  static const std::vector<Key<Draft>> keys = [] {
    std::vector<Key<Draft>> all = {
        text_key<Draft>("experiment_id", KDEF_AT(config.id), "the experiment's name; the loader sets it"),
        {"model", joined(row_names(models())),
         "the method of the experiment; decides ensemble and students where they are not set",
         [](Draft& d, const YamlValue& v) {
           const std::vector<std::string> names = row_names(models());
           const std::string text = v.is_scalar() ? v.text() : "", network = network_meant_by(text);
           if (is_absent(text)) {
             v.fail(cat("'", text,
                        "' is a network of FuxiCTR that this program does not have; docs/networks.md lists those that "
                        "it has"));
           }
           const bool is_model = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
             return lower_case(name) == lower_case(text);
           });
           if (!network.empty() && !is_model) {
             v.fail(cat("'", text, "' is a network; write model: KDEF and network: ", network,
                        ", and num_student: 1 for that network alone"));
           }
           d.config.model_name = v.one_of(names);
         },
         [](const Draft& d) { return yaml_text(d.config.model_name); }},
        text_key<Draft>("dataset_id", KDEF_AT(config.dataset_id), "the entry of dataset_config.yaml to train on"),
        {"objective", joined(row_names(kObjectives)) + ", null",
         cat("what the students are trained by; ",
             ensemble_meanings([](const EnsembleType& type) { return !type.label_loss_alone(); }),
             "; none: the label loss of the ensemble's output alone; null: none if `ensemble` is set, otherwise by the "
             "model's name"),
         read_objective,
         [](const Draft& d) {
           const EnsembleType& type = ensemble_type(d.config.model.kind);
           return d.config.model.students.empty() ? "null" : type.label_loss_alone() ? "none" : type.name;
         }},
        {"ensemble", joined(row_names(kEnsembles)) + ", null",
         cat("the ensemble's output under objective: none; ",
             ensemble_meanings([](const EnsembleType& type) { return type.label_loss_alone(); }),
             "; kdef: short for objective: kdef; null: by the model's name. Other objectives have an output of their "
             "own, beside "
             "which mean may be written"),
         [](Draft& d, const YamlValue& v) {
           d.ensemble = v.is_null() ? std::nullopt : std::optional(read_choice(kEnsembles, v));
         },
         [](const Draft& d) {
           const EnsembleType& type = ensemble_type(d.config.model.kind);
           return d.config.model.students.empty() ? "null" : type.label_loss_alone() ? type.name : "mean";
         }},
        {"students", "list of maps, null",
         "one map per student with keys of the next table; a key that a student does not set has its value at the top "
         "level; null: by the model's name",
         [](Draft&, const YamlValue&) {},  // after the keys that it inherits
         write_students},
        integer_key<Draft>("num_student", KDEF_AT(num_student), 1,
                           "number of students; with `students`, how often the list is repeated", kMaxStudents),
        numbered_dropout_key("net1_dropout", "EKTF_L: dropout of the product network"),
        numbered_dropout_key("net2_dropout", "EKTF_L: dropout of the kdef_finalnet network"),
        numbered_dropout_key("net3_dropout", "EKTF_L: dropout of the exponential_cross network"),
    };
    for (Key<Draft>& key : all) {
      if (key.name == "num_student") key.resolved = false;
    }
    for (const Key<NetworkDraft>& key : network_keys()) {
      all.push_back({key.name, key.type, key.meaning + "; for all students",
                     [read = key.read](Draft& d, const YamlValue& v) { read(d.network, v); },
                     [write = key.write](const Draft& d) { return write(d.network); }, false, key.standard});
    }
    const std::vector<Key<Draft>> rest = {
        {"embedding_dim", integer_type(1, data::kMaxEmbeddingDim),
         "columns of the embedding tables; of HOFM also a list, which is its order_dims",
         [](Draft& d, const YamlValue& v) {
           if (v.is_list()) d.network.given.insert_or_assign("order_dims", v);
           const YamlValue first = v.is_list() && !v.list().empty() ? v.list()[0] : v;
           d.config.model.embedding_dim = first.integer(1, data::kMaxEmbeddingDim);
         },
         [](const Draft& d) { return cat(d.config.model.embedding_dim); }},
        {"embedding_initializer", "partial(nn.init.normal_, std=1e-4), null",
         "how embedding tables start: normal with standard deviation 1e-4, FuxiCTR's default, is the only one",
         [](Draft&, const YamlValue& v) {
           std::string text = v.is_null() ? "" : v.text();
           std::erase(text, ' ');
           const std::string before = "partial(nn.init.normal_,std=";
           double deviation = 1e-4;
           const bool is_normal =
               text.empty() ||
               (text.starts_with(before) && text.ends_with(")") &&
                read_number(std::string_view(text).substr(before.size(), text.size() - before.size() - 1), deviation));
           if (!is_normal || deviation != 1e-4) v.expected("partial(nn.init.normal_, std=1e-4) or null");
         },
         [](const Draft&) { return "null"; }, false},
        boolean_key<Draft>("shared_embedding", KDEF_AT(config.model.shared_embedding),
                           "true: one set of embedding tables for all students; false: one set per student"),
        {"task", joined(task_names()), "what the label is; the loss and the default metrics follow from it",
         [](Draft& d, const YamlValue& v) { d.config.model.task = &find_task(v.one_of(task_names())); },
         [](const Draft& d) { return yaml_text(d.config.model.task->name); }},
        {"loss", joined(loss_names()), "the label loss; it must be the loss of the task",
         [](Draft&, const YamlValue& v) { v.one_of(loss_names()); },  // resolve_task() compares it with the task
         [](const Draft& d) { return yaml_text(d.config.model.task->loss_names[0]); }},
        boolean_key<Draft>("fused", KDEF_AT(config.model.fused),
                           "true: fused ops; false: the same results from primitive ops, slower"),
        boolean_key<Draft>("teach", KDEF_AT(config.model.objective.teach),
                           "objective kdef: students learn from the ensemble (KD)"),
        boolean_key<Draft>("peer", KDEF_AT(config.model.objective.peer),
                           "objective kdef: students learn from each other (DML)"),
        choice_key<Draft>("examination", KDEF_AT(config.model.objective.examination), kExaminations,
                          "objective kdef: weights of the teaching terms; on: by the examination; detached: the same "
                          "without gradient; equal: all the same"),
        optimizer_key(),
        {"learning_rate", "number > 0", "learning rate of the first step",
         [](Draft& d, const YamlValue& v) {
           d.config.training.optimizer.learning_rate = v.real(0, kInfinity);
           if (d.config.training.optimizer.learning_rate == 0) v.expected("a number above 0");
         },
         [](const Draft& d) { return yaml_number(d.config.training.optimizer.learning_rate); }},
        regularizer_key("embedding_regularizer", KDEF_AT(config.training.optimizer.embedding),
                        "penalty on every row of every embedding table at every step: the sum of l2/2 w^2 + l1 abs(w)"),
        regularizer_key("net_regularizer", KDEF_AT(config.training.optimizer.net),
                        "the same penalty on all other parameters"),
        {"regularizer", "number, l1(A), l2(B), l1_l2(A, B), null",
         "both regularizers at once, as FuxiCTR's LR, FM and their relatives have it",
         [](Draft& d, const YamlValue& v) {
           d.config.training.optimizer.embedding = d.config.training.optimizer.net = read_regularizer(v);
         }},
        {"max_gradient_norm", "number >= 0",
         "gradients whose L2 norm over all parameters is larger are scaled down to this norm; 0: no limit",
         [](Draft& d, const YamlValue& v) { d.config.training.optimizer.clip_norm = v.real(0, kInfinity); },
         [](const Draft& d) { return yaml_number(d.config.training.optimizer.clip_norm); }},
        integer_key<Draft>("batch_size", KDEF_AT(config.training.batch_size), 1, "rows per step"),
        shards_key("a power of two: pieces into which each batch is cut; with 2 or more the bits of a training "
                   "do not depend on the number of processes, which must divide it "
                   "([many-machines.md](many-machines.md))"),
        boolean_key<Draft>("divide_tables", KDEF_AT(config.training.divide_tables),
                           "true: each of several processes holds a part of the embedding tables' rows and trains it; "
                           "false: each holds all ([many-machines.md](many-machines.md))"),
        integer_key<Draft>("epochs", KDEF_AT(config.training.epochs), 1,
                           "largest number of passes over the training rows"),
        boolean_key<Draft>("shuffle", KDEF_AT(config.training.shuffle),
                           "true: the rows have a new order in each epoch"),
        integer_key<Draft>("seed", KDEF_AT(config.training.seed), 0,
                           "seed of the initial values, the order of rows and dropout"),
        choice_key<Draft>(
            "precision", KDEF_AT(config.training.precision), kPrecisions,
            "number format of the operands of matrix products in training, with bf16 also of gradients between hidden "
            "layers; everything else, and prediction, is fp32"),
        {"init", "run directory, null",
         "the training starts from the best weights of this run, and rows are read by its vocabularies and scales; "
         "null: weights start by `seed`, vocabularies are made from the training rows ([warm-start.md](warm-start.md))",
         [](Draft& d, const YamlValue& v) { d.config.init = v.is_null() ? "" : v.text(); },
         [](const Draft& d) { return d.config.init.empty() ? "null" : yaml_text(d.config.init); }},
        boolean_key<Draft>("grow_vocabulary", KDEF_AT(config.dataset.grow_vocabulary),
                           "with init: true: values that the run does not know get ids behind its own, by "
                           "min_categr_count in the training rows, and rows of the tables by `seed`; false: they share "
                           "the id of unknown values"),
        boolean_key<Draft>("init_optimizer", KDEF_AT(config.init_optimizer),
                           "with init: true: the optimizer goes on with the state of the run's last checkpoint; false: "
                           "it starts anew, as it must where the run has no checkpoint or another optimizer"),
        boolean_key<Draft>("deterministic", KDEF_AT(config.deterministic),
                           "no effect: results are always reproducible bit for bit"),
        {"metrics", "list of " + joined(metric_names()),
         "measured at each evaluation, together with the metrics of the task and those of `monitor`; see the table of "
         "metrics",
         [](Draft& d, const YamlValue& v) {
           d.config.metrics.clear();
           for (const YamlValue& item : v.list()) d.config.metrics.push_back(read_metric(item));
           if (d.config.metrics.empty()) v.expected("at least one metric");
         },
         [](const Draft& d) { return yaml_list(d.config.metrics); }},
        {"monitor", "metric, or map of metric to weight",
         "the weighted sum of these metrics decides which model is best", read_monitor, write_monitor},
        choice_key<Draft>(
            "monitor_mode", KDEF_AT(config.training.monitor_max), kMonitorModes,
            "whether a larger (max) or a smaller (min) value of `monitor` is better; if not set, it follows "
            "from the monitored metrics, and is max if they disagree"),
        {"eval_steps", "integer >= 1, null", "number of steps between evaluations; null: one epoch",
         [](Draft& d, const YamlValue& v) { d.config.training.eval_steps = v.is_null() ? 0 : v.integer(1); },
         [](const Draft& d) { return d.config.training.eval_steps == 0 ? "null" : cat(d.config.training.eval_steps); }},
        integer_key<Draft>("early_stop_patience", KDEF_AT(config.training.early_stop_patience), 1,
                           "training stops after this many evaluations in a row without improvement"),
        boolean_key<Draft>("reduce_lr_on_plateau", KDEF_AT(config.training.reduce_lr_on_plateau),
                           "true: an evaluation without improvement divides the learning rate by 10, down to 1e-6"),
        boolean_key<Draft>("save_best_only", KDEF_AT(config.training.save_best_only),
                           "true: the best model is kept; false: the last"),
        text_key<Draft>("model_root", KDEF_AT(config.model_root), "folder that holds the run directories", "path"),
        integer_key<Draft>("checkpoint_every", KDEF_AT(config.training.checkpoint_steps), 0,
                           "number of steps between checkpoints; 0: checkpoints only at evaluations"),
        integer_key<Draft>(
            "collapse_every", KDEF_AT(config.training.collapse_every), 0,
            "collapse is measured at every n-th evaluation and written to collapse.jsonl; 0: only at the end, for the "
            "best model"),
        choice_key<Draft>("baseline", KDEF_AT(config.baseline), kBaselines,
                          "what the model is compared with, beside the constant that predicts the click rate; "
                          "logistic_regression: one is trained on the encoded rows before the first step, and has no "
                          "influence on the training; none: neither is measured"),
        boolean_key<Draft>("tensorboard", KDEF_AT(config.tensorboard),
                           "true: the run directory also gets an event file for TensorBoard"),
    };
    all.insert(all.end(), rest.begin(), rest.end());
    all.insert(all.end(), dataset_keys().begin(), dataset_keys().end());
    all.insert(all.end(), fuxictr_keys().begin(), fuxictr_keys().end());
    return all;
  }();
  return keys;
}

}  // namespace kdef::config_keys

namespace kdef {

// Every kind of network with its formula, paper and keys.
static std::string networks_markdown() {
  std::string text =
      "| Network | What it is | Paper | Logit of a row | Hidden layers | Keys of its own, with defaults |\n"
      "| --- | --- | --- | --- | --- | --- |\n";
  for (const nn::NetworkType& type : nn::network_types()) {
    std::string keys;
    for (const nn::SettingKey& key : type.keys) {
      const std::string value = config_keys::write_setting(key.standard);
      keys += cat(keys.empty() ? "" : ", ", "`", key.name, "` ", value);
    }
    std::string formula = type.formula;
    for (size_t i = 0; (i = formula.find('|', i)) != std::string::npos; i += 2) formula.insert(i, "\\");
    const char* hidden = type.fuxictr                                       ? "by its keys"
                         : type.hidden_layers == nn::HiddenLayers::none     ? "none"
                         : type.hidden_layers == nn::HiddenLayers::optional ? "optional"
                                                                            : "at least one";
    text += cat("| `", type.name, "` | ", type.title, " | ", type.source, " | `", formula, "` | ", hidden, " | ", keys,
                " |\n");
  }
  return text;
}

// Every activation with its formula.
static std::string activations_markdown() {
  std::string text = "| Activation | Value |\n| --- | --- |\n";
  for (const nn::ActivationType& type : nn::activation_types()) {
    text += cat("| `", type.name, "` | `", type.formula, "` |\n");
  }
  return text + "| `none` | `x` |\n";
}

// Every objective with its formula.
static std::string objectives_markdown() {
  std::string text = "| Objective | Loss of a batch | Labels |\n| --- | --- | --- |\n";
  for (const EnsembleType& type : ensemble_types()) {
    const std::string written = type.label_loss_alone() ? cat("none`, `ensemble: ", type.name) : type.name;
    text += cat("| `", written, "` | `", type.objective.formula, "` | ",
                type.objective.clicks_only == nullptr ? "any" : "clicks", " |\n");
  }
  return text;
}

std::string keys_markdown() {
  return "## Keys of an experiment and of its data set\n\n" +
         config_keys::markdown_table(config_keys::experiment_keys()) + "\n## Keys of an entry of `students`\n\n" +
         config_keys::markdown_table(config_keys::student_keys()) +
         "\n## Objectives\n\nOf M students with logits z [B, M] and p = sigmoid(z); sg is a stop-gradient, and every "
         "BCE a "
         "mean over the rows. For labels that are numbers the squared error of the outputs takes the place of BCE. "
         "[method.md](method.md) compares them.\n\n" +
         objectives_markdown() +
         "\n## Networks\n\nThe networks of KDEF's authors have the common keys `hidden_units`, `hidden_activations`, "
         "`net_dropout`, `batch_norm` and `layer_norm`. A network with the name of a class of FuxiCTR is that class, "
         "number "
         "for number, with the keys and the defaults of the class; these names are values of `model`, too. LR is the "
         "first "
         "order: the sum over the fields of one number per id (or one number times the value), and a bias b. z is the "
         "logit, e_i the embedding of field i, x all of them side by side, `*` elementwise, "
         "`.` an inner product.\n\n" +
         networks_markdown() +
         "\n## Metrics\n\nUpper and lower case letters of a name are equal. Where rows have weights, every metric is "
         "weighted. Metrics of groups need `group_id`. `monitor` adds up, for predicted_over_actual, its distance to "
         "1.\n\n" +
         metrics_markdown() +
         "\n## Activations\n\nx is a unit of a hidden layer, after normalisation. Names are those of FuxiCTR; upper "
         "and "
         "lower case letters are equal.\n\n" +
         activations_markdown() + "\n## Keys of an entry of `feature_cols`\n\n" +
         config_keys::markdown_table(config_keys::field_keys());
}

}  // namespace kdef
