// The settings of a field as JSON; internal to data/.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "data/field_keys.h"

namespace kdef::data {

NLOHMANN_JSON_SERIALIZE_ENUM(LabelKind, {{LabelKind::click, "click"}, {LabelKind::number, "number"}})

/// The value of a key as JSON. A choice is its name.
nlohmann::ordered_json json_of(const FieldKey& key, const KeyValue& value);
/// The same back; nothing if the JSON has another type or names no choice.
std::optional<KeyValue> value_of(const FieldKey& key, const nlohmann::ordered_json& json);

/// Appends to `json` the keys of the table that are stored in `where`: those that are always stored, then those that
/// differ from the default, each in the table's order.
void add_field(const FieldConfig& field, StoredIn where, nlohmann::ordered_json& json);
/// The settings that add_field() wrote for StoredIn::encoder; other keys are ignored. Nothing if a key that is always
/// stored is missing, or a value has the wrong type.
std::optional<FieldConfig> read_field(const nlohmann::ordered_json& json);

}  // namespace kdef::data
