#include "data/schema_json.h"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <variant>

namespace kdef::data {

using Json = nlohmann::ordered_json;

constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();

Json json_of(const FieldKey& key, const KeyValue& value) {
  if (key.shape == KeyShape::choice) return key.choices.at(static_cast<size_t>(std::get<int64_t>(value))).stored;
  return std::visit(
      []<class V>(const V& v) -> Json {
        if constexpr (std::is_same_v<V, std::monostate>) {
          return nullptr;
        } else {
          return v;
        }
      },
      value);
}

// Whether an integer of JSON is in [min, max].
static bool in_range(const Json& json, int64_t min, int64_t max) {
  if (json.is_number_unsigned() && json.get<uint64_t>() > static_cast<uint64_t>(kLargest)) return false;
  return json.get<int64_t>() >= min && json.get<int64_t>() <= max;
}

std::optional<KeyValue> value_of(const FieldKey& key, const Json& json) {
  if (json.is_null() && key.nullable && key.shape != KeyShape::choice) return KeyValue();
  switch (key.shape) {
    case KeyShape::boolean:
      if (json.is_boolean()) return json.get<bool>();
      break;
    case KeyShape::integer:
      if (json.is_number_integer() && in_range(json, key.min, key.max)) return json.get<int64_t>();
      break;
    case KeyShape::text:
    case KeyShape::text_or_number:
      if (json.is_string()) return json.get<std::string>();
      break;
    case KeyShape::cells:
      if (json.is_array() && std::all_of(json.begin(), json.end(), [](const Json& cell) { return cell.is_string(); })) {
        return json.get<std::vector<std::string>>();
      }
      break;
    case KeyShape::choice:
      for (size_t i = 0; i < key.choices.size(); ++i) {
        if (json == key.choices[i].stored) return static_cast<int64_t>(i);
      }
      break;
  }
  return std::nullopt;
}

void add_field(const FieldConfig& field, StoredIn where, Json& json) {
  const FieldConfig standard;
  for (const bool always : {true, false}) {
    for (const FieldKey& key : field_keys()) {
      if (key.stored_in != where || key.always_stored != always) continue;
      const KeyValue value = key.config.get(field);
      if (always || value != key.config.get(standard)) json[key.stored_name()] = json_of(key, value);
    }
  }
}

std::optional<FieldConfig> read_field(const Json& json) {
  FieldConfig field;
  if (!json.is_object()) return std::nullopt;
  for (const FieldKey& key : field_keys()) {
    if (key.stored_in != StoredIn::encoder) continue;
    const auto at = json.find(key.stored_name());
    if (at == json.end() && !key.always_stored) continue;
    const std::optional<KeyValue> value = at == json.end() ? std::nullopt : value_of(key, *at);
    if (!value) return std::nullopt;
    key.config.set(field, *value);
  }
  return field;
}

}  // namespace kdef::data
