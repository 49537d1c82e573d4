// The tables of configuration keys: each row reads, writes and documents one key. Private to kdef/config. keys.cpp has
// those of an experiment and its students, dataset_keys.cpp and field_keys.cpp those of a data set and its columns,
// fuxictr_keys.cpp those that only FuxiCTR's files have.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/names.h"
#include "data/field_keys.h"
#include "kdef/config/config.h"
#include "kdef/config/yaml_value.h"
#include "nn/networks/registry.h"

namespace kdef::config_keys {

// One configuration key. T is the draft that its value is read into.
template <class T>
struct Key {
  std::string name;
  std::string type;
  std::string meaning;
  std::function<void(T&, const YamlValue&)> read;
  std::function<std::string(const T&)> write = {};  // as YAML; the documentation has write(T()) as the default
  bool resolved = true;                             // to_yaml() writes it
  std::string standard = {};                        // the default as YAML, where `write` cannot give it
};

// The settings of one student as the configuration gives them: one activation or one dropout rate may be for all
// layers.
struct NetworkDraft {
  StudentConfig settings{.network = "mlp",
                         .hidden_units = {64, 64, 64},
                         .hidden_activations = {"relu"},
                         .dropout = {0},
                         .batch_norm = true};
  bool one_activation = true, one_dropout = true;
  YamlValue activations_at, dropout_at;
  // All values as they are given. Of the settings that only some networks have, the student's network takes those that
  // it knows; a network with FuxiCTR's name takes all its settings from here.
  std::map<std::string, YamlValue> given;
  std::vector<std::string> notes;  // ExperimentConfig::notes
  int64_t repeat = 1;
};

// ---- What files of FuxiCTR have beside these keys (fuxictr_keys.cpp).

// Another name of a key.
struct Alias {
  const char* name;
  const char* key;
};
const std::vector<Alias>& aliases();
// The key that a name means; the name itself where it is no alias.
std::string key_of(const std::string& name);

// Keys of networks of FuxiCTR that this program does not have. Who adds such a network removes its names here.
struct ForeignKeys {
  const char* networks;
  std::vector<std::string> keys;
};
const std::vector<ForeignKeys>& foreign_keys();

// What a file of FuxiCTR means where its versions differ.
struct Dialect {
  int version = 2;  // 1: before 2.0
  std::string reason;
};
// By the key fuxictr_version of `given`, or by the keys that only version 1 reads among those that the files have.
Dialect dialect_of(const std::map<std::string, YamlValue>& files, const std::map<std::string, YamlValue>& given);
// A sentence for the user.
std::string describe(const Dialect& dialect);

// The value of a key of training that a model of FuxiCTR has where none is given, if it differs from this program's.
struct Default {
  const char* name;
  const char* value;  // YAML
};
const std::vector<Default>& fuxictr_defaults();

// A network of FuxiCTR that version 1 had otherwise. A file of version 1 trains the one of version 2, with these
// settings where none are given.
struct NetworkOfVersion1 {
  const char* name;
  const char* otherwise;  // how version 1 had it, where no setting makes it so
  std::vector<Default> settings;
};
const std::vector<NetworkOfVersion1>& networks_of_version_1();

// What the merged keys of an experiment are read into. The models, students and fields are resolved from it afterwards.
struct Draft {
  ExperimentConfig config;
  NetworkDraft network;  // the top-level settings, which students inherit
  int64_t num_student = 3;
  std::optional<EnsembleKind> ensemble;
  std::optional<EnsembleKind> objective;      // whose objective it is; of objective none: mean
  std::map<std::string, YamlValue> dropouts;  // net1_dropout .. net3_dropout
  std::map<std::string, YamlValue> given;     // every key that is set, with the value that counts
  Dialect dialect;
  bool needs_dialect = false;  // a column means something else in another version
  std::optional<bool> group_by_id;
  bool resolved = false;  // the file was written by to_yaml(): nothing is left open
};

// A name that the key `model` may have, and the ensemble that it stands for.
struct ModelName {
  const char* name;
  EnsembleKind ensemble;
  int64_t students;                   // 0: num_student
  std::vector<std::string> networks;  // empty: the top-level `network`
};

const std::vector<ModelName>& models();
// Whether FuxiCTR has a model of this name, whose defaults count then.
bool is_fuxictrs(const ModelName& model);

// One entry of `feature_cols`, which may describe several columns.
struct FieldDraft {
  data::FieldConfig field;
  std::vector<std::string> names;
  std::map<std::string, YamlValue> given;
  std::vector<std::string>* ignored = nullptr;
  int version = 2;       // Dialect::version
  std::string source;    // the column that `preprocess` reads, if it names one
  bool is_meta = false;  // FuxiCTR's type of a column that is no input, as the column of group_id
};

// Keys of an experiment and of its data set: one flat map, as FuxiCTR merges them.
const std::vector<Key<Draft>>& experiment_keys();
// The keys among them that describe the data set, and those that FuxiCTR's files have and this program does not need.
const std::vector<Key<Draft>>& dataset_keys();
const std::vector<Key<Draft>>& fuxictr_keys();
// Keys of an entry of `feature_cols`.
const std::vector<Key<FieldDraft>>& field_keys();

// The value of the key `feature_cols`, and the same back.
void read_fields(Draft& d, const YamlValue& v);
// The values of keys that change the columns that have been read.
void read_feature_specs(Draft& d, const YamlValue& v);
void read_use_features(Draft& d, const YamlValue& v);
std::string write_fields(const Draft& d);
// A list of cells as they stand in a file. YAML reads NULL without quotes as nothing: every way to write it is meant.
std::vector<std::string> read_cells(const YamlValue& v);
// The value of a key of a column.
data::KeyValue read_value(const data::FieldKey& key, const YamlValue& v);
// Keys of an entry of `students`.
const std::vector<Key<NetworkDraft>>& student_keys();

// One rate for every layer, or a list.
std::vector<double> read_dropout(NetworkDraft& n, const YamlValue& v);

// The value of a setting as YAML.
std::string write_setting(const nn::SettingValue& setting);
// The settings of a network of `type`: the values of `given` for the keys that it has, defaults for the others.
nn::Settings network_settings(const nn::NetworkType& type, const std::map<std::string, YamlValue>& given);
// Whether the network has the setting `key`, or settings that are entries of the map `key`.
bool has_setting(const nn::NetworkType& type, const std::string& key);
// The keys that only some networks have, each name once; those that all networks of KDEF's authors have are
// common_key_names().
std::vector<std::string> network_key_names();
const std::vector<std::string>& common_key_names();

// Throws InputError for the unknown key `name`, and offers the nearest of `known`.
[[noreturn]] void fail_unknown(const YamlValue& key, const std::string& name, const std::vector<std::string>& known);

// Reads a map all of whose keys are in one table.
template <class T>
void read_map(const std::vector<Key<T>>& keys, T& target, const YamlValue& map) {
  for (const YamlValue::Entry& e : map.map()) {
    const Key<T>* key = find_row(keys, key_of(e.name));
    if (key == nullptr) fail_unknown(e.key, e.name, row_names(keys));
    key->read(target, e.value);
  }
}

}  // namespace kdef::config_keys
