// The table of configuration keys: what reads, writes and documents each. Private to the library.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kdef/config/config.h"
#include "kdef/config/yaml_value.h"
#include "nn/networks/registry.h"

namespace kdef::config_keys {

// One configuration key. `T` is what it is read into.
template <class T>
struct Key {
  std::string name;
  std::string type;
  std::string meaning;
  std::function<void(T&, const Value&)> read;
  std::function<std::string(const T&)> write = {};  // as YAML; of a default T: the default in the documentation
  bool resolved = true;                             // to_yaml() writes it
  std::string standard = {};                        // the default as YAML, where `write` cannot give it
};

// A network as configured: one activation or dropout may stand for every layer.
struct Network {
  StudentConfig settings{.network = "mlp",
                         .hidden_units = {64, 64, 64},
                         .hidden_activations = {"relu"},
                         .dropout = {0},
                         .batch_norm = true};
  bool one_activation = true, one_dropout = true;
  Value activations_at, dropout_at;
  std::map<std::string, Value> own;  // keys of single kinds of networks, as given; the student's network picks its own
  int64_t repeat = 1;
};

// What the merged keys are read into, before models, students and fields follow from it.
struct Draft {
  ExperimentConfig config;
  Network network;  // the top-level settings, which students inherit
  int64_t num_student = 3;
  std::optional<EnsembleKind> ensemble;
  std::map<std::string, Value> dropouts;  // net1_dropout .. net3_dropout
  std::map<std::string, Value> given;     // every key that is set, by the last to set it
};

// A model's name, and what it stands for.
struct Model {
  const char* name;
  EnsembleKind ensemble;
  int64_t students;                   // 0: num_student
  std::vector<std::string> networks;  // empty: the top-level `network`
};

const std::vector<Model>& models();

// Keys of an experiment and of its data set: one flat map, as FuxiCTR merges them.
const std::vector<Key<Draft>>& experiment_keys();
// Keys of an entry of `students`.
const std::vector<Key<Network>>& student_keys();

// One rate for every layer, or a list.
std::vector<double> read_dropout(Network& n, const Value& v);

// The settings of a network of `type`: those of `given` that it has, and its defaults.
nn::Settings own_settings(const nn::NetworkType& type, const std::map<std::string, Value>& given);
// The keys that single kinds of networks have, each name once.
std::vector<std::string> own_key_names();

template <class T>
const Key<T>* find_key(const std::vector<Key<T>>& keys, const std::string& name) {
  const auto it = std::find_if(keys.begin(), keys.end(), [&](const auto& key) { return key.name == name; });
  return it == keys.end() ? nullptr : &*it;
}

template <class T>
std::vector<std::string> key_names(const std::vector<Key<T>>& keys) {
  std::vector<std::string> names;
  for (const auto& key : keys) names.push_back(key.name);
  return names;
}

// Refuses `key` under its name, and offers the nearest of `known`.
[[noreturn]] void fail_unknown(const Value& key, const std::string& name, const std::vector<std::string>& known);

// Reads a map whose keys are all of one table.
template <class T>
void read_map(const std::vector<Key<T>>& keys, T& target, const Value& map) {
  for (const Value::Entry& e : map.map()) {
    const Key<T>* key = find_key(keys, e.name == "dropout" ? "net_dropout" : e.name);
    if (key == nullptr) fail_unknown(e.key, e.name, key_names(keys));
    key->read(target, e.value);
  }
}

}  // namespace kdef::config_keys
