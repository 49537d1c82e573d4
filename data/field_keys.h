// The keys of an entry of `feature_cols`. One row says how a setting of a field is named, read, written, documented and
// stored. The configuration with its documentation (kdef/config/field_keys.cpp), the files of a cache (schema_json.h,
// encode/feature_map.cpp) and the configurations of built-in data (builtin/yaml_files.cpp) iterate over the rows.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/schema.h"

namespace kdef::data {

/// The value of a key: null, a boolean, an integer, a text or a list of texts. A choice is its place in
/// FieldKey::choices.
using KeyValue = std::variant<std::monostate, bool, int64_t, std::string, std::vector<std::string>>;

/// What may stand as a value in the configuration.
enum class KeyShape {
  boolean,
  integer,
  text,
  text_or_number,  // the content of a cell
  cells,           // a list of them
  choice,          // one of FieldKey::choices
};

/// One value of an enumeration.
struct FieldChoice {
  const char* name;                    // in the configuration, in any case of letters; nullptr: null
  const char* stored;                  // in JSON
  std::vector<std::string> also = {};  // other names in the configuration, letter by letter
};

/// Which files of a cache hold a key.
enum class StoredIn {
  nothing,      // the key has no influence on a cache
  fingerprint,  // prepared.json: the key matters while vocabularies are made; another value makes the cache stale
  encoder,      // prepared.json, and vocabulary.kdefvoc, since every row is encoded by it
};

/// Reads and writes the member of a T that a key is about.
template <class T>
struct KeyAccess {
  std::function<KeyValue(const T&)> get;
  std::function<void(T&, const KeyValue&)> set;
};

/// The properties of a key that do not follow from the member of FieldConfig.
struct FieldKeyOptions {
  bool nullable = false;                              // null is a value; so it is for every std::optional
  bool not_empty = false;                             // text: at least one character
  int64_t min = 0;                                    // integer: from here
  int64_t max = std::numeric_limits<int64_t>::max();  // integer: to here
  std::vector<FieldChoice> choices = {};              // choice: in the order of the enumeration
  bool sequence = false;                              // fields of type sequence have it, others ignore it
  StoredIn stored_in = StoredIn::nothing;
  const char* stored_as = nullptr;  // the key's name in JSON, where it is another one
  /// True: JSON always holds the key. False: JSON holds it where it differs from the default, and files of versions
  /// that did not have the key can be read. A new key is false.
  bool always_stored = false;
};

/// One key. Its default is that of FieldConfig's member.
struct FieldKey : FieldKeyOptions {
  const char* name;
  KeyShape shape;
  const char* meaning;
  KeyAccess<FieldConfig> config;
  KeyAccess<Field> map;  // empty: the feature map does not have the key, for Field has no member of that name

  const char* stored_name() const { return stored_as == nullptr ? name : stored_as; }
  bool in_feature_map() const { return map.get != nullptr; }
  /// Whether a field of this type has the key.
  bool applies_to(FieldType type) const { return !sequence || type == FieldType::sequence; }
  /// Names of the choices in the configuration; null is not among them.
  std::vector<std::string> choice_names() const;
};

/// Every key, in the order of the documentation.
const std::vector<FieldKey>& field_keys();
/// The row of a key that exists.
const FieldKey& field_key(std::string_view name);

/// The largest embedding_dim. A larger one is a typing error: the message then names the key and not a lack of memory.
inline constexpr int64_t kMaxEmbeddingDim = int64_t{1} << 20;
/// The largest max_len of a sequence: numbers of files are bounded before memory is taken for them.
inline constexpr int64_t kMaxLen = int64_t{1} << 20;

}  // namespace kdef::data
