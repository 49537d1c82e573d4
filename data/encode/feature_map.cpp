#include "data/encode/feature_map.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/names.h"
#include "core/io/file.h"
#include "data/raw/byte_source.h"
#include "data/schema_json.h"

namespace kdef::data {
namespace {

using Json = nlohmann::ordered_json;

int64_t read_count(const Json& field, const char* key, int64_t min, const std::string& where) {
  const auto at = field.find(key);
  if (at == field.end() || !at->is_number_integer() || at->get<int64_t>() < min ||
      at->get<int64_t>() > (int64_t{1} << 31) - 1) {
    throw InputError(cat(where, ": \"", key, "\" must be an integer of at least ", min,
                         at == field.end() ? "; it is missing" : cat("; it is ", at->dump())));
  }
  return at->get<int64_t>();
}

std::string read_string(const Json& object, const char* key, const std::string& otherwise, const std::string& where) {
  const auto at = object.find(key);
  if (at == object.end()) return otherwise;
  if (!at->is_string()) throw InputError(cat(where, ": \"", key, "\" must be a string; it is ", at->dump()));
  return at->get<std::string>();
}

// The choice of this name in JSON. Null in the configuration is no choice here.
KeyValue read_choice(const FieldKey& key, const std::string& name, const std::string& where) {
  std::vector<std::string> known;
  for (size_t i = 0; i < key.choices.size(); ++i) {
    if (key.choices[i].name == nullptr) continue;
    if (name == key.choices[i].stored) return static_cast<int64_t>(i);
    known.emplace_back(key.choices[i].stored);
  }
  throw InputError(cat(where, ": \"", key.stored_name(), "\" is '", name, "'; ", either(known), " is expected"));
}

// The value of a key that the JSON has.
KeyValue read_value(const FieldKey& key, const Json& json, const std::string& where) {
  const char* name = key.stored_name();
  switch (key.shape) {
    case KeyShape::boolean:
      if (!json[name].is_boolean()) {
        throw InputError(cat(where, ": \"", name, "\" must be true or false; it is ", json[name].dump()));
      }
      return json[name].get<bool>();
    case KeyShape::integer:
      return read_count(json, name, std::max<int64_t>(key.min, 1), where);
    case KeyShape::choice:
      return read_choice(key, read_string(json, name, "", where), where);
    case KeyShape::text:
    case KeyShape::text_or_number:
    case KeyShape::cells:
      break;
  }
  return read_string(json, name, "", where);
}

Field read_field(const Json& json, size_t index, const std::string& path) {
  std::string where = cat(path, ": fields[", index, "]");
  if (!json.is_object()) throw InputError(where + ": an object with name and type is expected");
  Field field;
  field.name = read_string(json, "name", "", where);
  if (field.name.empty()) throw InputError(where + ": \"name\" is missing or empty");
  where += cat(" (", field.name, ")");
  if (!json.contains("type")) read_choice(field_key("type"), "", where);  // throws: the type has no default
  for (const FieldKey& key : field_keys()) {
    if (!key.in_feature_map() || !key.applies_to(field.type)) continue;
    if (key.always_stored && key.shape == KeyShape::integer) {
      key.map.set(field, read_count(json, key.stored_name(), std::max<int64_t>(key.min, 1), where));
    } else if (json.contains(key.stored_name())) {
      key.map.set(field, read_value(key, json, where));
    }
  }
  if (field.type != FieldType::numeric) field.vocab_size = read_count(json, "vocab_size", 2, where);
  if (field.type != FieldType::numeric && json.contains("oov_idx")) {
    field.oov_idx = read_count(json, "oov_idx", 1, where);
    if (field.oov_idx >= field.vocab_size) throw InputError(cat(where, ": \"oov_idx\" is not below vocab_size"));
  }
  return field;
}

}  // namespace

std::string read_text(const std::string& path) {
  auto source = ByteSource::open_raw(path);
  std::string text;
  char block[65536];
  for (size_t n; (n = source->read(block, sizeof(block))) > 0;) text.append(block, n);
  return text;
}

FeatureMap parse_feature_map(const std::string& text, const std::string& path) {
  Json json;
  try {
    json = parse_json<Json>(text, path);
  } catch (const Json::parse_error& e) {
    throw InputError(cat(path, ": not valid JSON at byte ", e.byte, "; a feature map is expected"));
  }
  if (!json.is_object() || !json.contains("fields") || !json["fields"].is_array() || json["fields"].empty()) {
    throw InputError(cat(path, ": not a feature map: an object with a non-empty list \"fields\" is expected"));
  }
  FeatureMap map;
  map.dataset = read_string(json, "dataset", "", path);
  map.label = read_string(json, "label", "label", path);
  std::set<std::string> names;
  for (size_t i = 0; i < json["fields"].size(); ++i) {
    Field field = read_field(json["fields"][i], i, path);
    if (!field.share_embedding.empty() && !names.contains(field.share_embedding)) {
      throw InputError(cat(path, ": field ", field.name, " shares the embedding of ", field.share_embedding,
                           ", which is not an earlier field"));
    }
    if (!names.insert(field.name).second) throw InputError(cat(path, ": two fields are named ", field.name));
    map.fields.push_back(std::move(field));
  }
  return map;
}

FeatureMap load_feature_map(const std::string& path) { return parse_feature_map(read_text(path), path); }

// Keys without a value (null, an empty text) are left out, and new keys (always_stored is false) that have their
// default.
static Json field_json(const Field& field) {
  Json entry;
  for (const FieldKey& key : field_keys()) {
    if (!key.in_feature_map() || !key.applies_to(field.type)) continue;
    const KeyValue value = key.map.get(field);
    if (!key.always_stored && value == key.map.get(Field{})) continue;
    if (value != KeyValue() && value != KeyValue(std::string())) entry[key.stored_name()] = json_of(key, value);
    if (key.name == std::string_view("type") && field.type != FieldType::numeric) {
      entry["vocab_size"] = field.vocab_size;
      if (field.oov_idx > 0) entry["oov_idx"] = field.oov_idx;
    }
  }
  return entry;
}

std::string to_json(const FeatureMap& map) {
  Json json = {{"dataset", map.dataset}, {"label", map.label}, {"fields", Json::array()}};
  for (const Field& field : map.fields) {
    json["fields"].push_back(field_json(field));
  }
  try {
    return json.dump(1) + "\n";
  } catch (const Json::type_error&) {
    throw InputError(cat("feature map of ", map.dataset, ": a field's name is not valid UTF-8; rename the column"));
  }
}

void save_feature_map(const FeatureMap& map, const std::string& path) { write_file(path, to_json(map)); }

}  // namespace kdef::data
