// The keys of an entry of `feature_cols`.
#include <algorithm>
#include <set>

#include "core/base/error.h"
#include "data/field_keys.h"
#include "kdef/config/key_types.h"

namespace kdef::config_keys {
namespace {

Key<FieldDraft> ignored_field_key(const char* name, const char* meaning) {
  return {name, "anything", cat("ignored: ", meaning),
          [=](FieldDraft& f, const YamlValue&) { f.ignored->push_back(cat("feature_cols.", name)); }};
}

std::string type_of(const data::FieldKey& key) {
  std::string type = key.shape == data::KeyShape::boolean   ? "boolean"
                     : key.shape == data::KeyShape::integer ? integer_type(key.min, key.max)
                     : key.shape == data::KeyShape::text    ? "text"
                     : key.shape == data::KeyShape::choice  ? joined(key.choice_names())
                     : key.shape == data::KeyShape::cells   ? "list of texts"
                                                            : "text, number";
  return key.nullable ? type + ", null" : type;
}

// The place of a choice: by one of its other names, or by the name that the documentation has.
int64_t read_choice(const data::FieldKey& key, const YamlValue& v) {
  const auto place = [&](auto is_it) -> int64_t {
    return std::find_if(key.choices.begin(), key.choices.end(), is_it) - key.choices.begin();
  };
  if (v.is_null() && key.nullable) return place([](const auto& choice) { return choice.name == nullptr; });
  const std::string text = v.is_scalar() ? v.text() : "";
  const int64_t other = place(
      [&](const auto& choice) { return std::find(choice.also.begin(), choice.also.end(), text) != choice.also.end(); });
  if (other != static_cast<int64_t>(key.choices.size())) return other;
  const std::string name = v.one_of(key.choice_names());
  return place([&](const auto& choice) { return choice.name != nullptr && choice.name == name; });
}

std::string write_value(const data::FieldKey& key, const data::KeyValue& value) {
  if (value == data::KeyValue()) return "null";
  switch (key.shape) {
    case data::KeyShape::boolean:
      return std::get<bool>(value) ? "true" : "false";
    case data::KeyShape::integer:
      return cat(std::get<int64_t>(value));
    case data::KeyShape::choice: {
      const char* name = key.choices.at(static_cast<size_t>(std::get<int64_t>(value))).name;
      return name == nullptr ? "null" : yaml_text(name);
    }
    case data::KeyShape::cells:
      return write_list(std::get<std::vector<std::string>>(value), yaml_text);
    default:
      return yaml_text(std::get<std::string>(value));
  }
}

}  // namespace

std::vector<std::string> read_cells(const YamlValue& v) {
  std::vector<std::string> cells;
  for (const YamlValue& item : v.list()) {
    if (item.is_null()) {
      cells.insert(cells.end(), {"NULL", "null", "Null"});
    } else {
      cells.push_back(item.text());
    }
  }
  return cells;
}

data::KeyValue read_value(const data::FieldKey& key, const YamlValue& v) {
  if (key.shape == data::KeyShape::choice) return read_choice(key, v);
  if (v.is_null() && key.nullable) return {};
  switch (key.shape) {
    case data::KeyShape::boolean:
      return v.boolean();
    case data::KeyShape::integer:
      return v.integer(key.min, key.max);
    case data::KeyShape::text:
      if (v.is_null() && !key.not_empty) return std::string();
      if (v.text().empty() && key.not_empty) v.expected("at least one character");
      break;
    case data::KeyShape::cells:
      return read_cells(v);
    default:
      break;
  }
  return v.text();
}

// The keys of data/field_keys.h, and those that have no effect here.
const std::vector<Key<FieldDraft>>& field_keys() {
  static const std::vector<Key<FieldDraft>> keys = [] {
    std::vector<Key<FieldDraft>> all;
    for (const data::FieldKey& key : data::field_keys()) {
      all.push_back({key.name, type_of(key), key.meaning,
                     [&key](FieldDraft& f, const YamlValue& v) { key.config.set(f.field, read_value(key, v)); },
                     [&key](const FieldDraft& f) { return write_value(key, key.config.get(f.field)); }});
    }
    // One entry may describe several columns.
    Key<FieldDraft>& name = all.front();
    name.type = "text, or a list of texts";
    name.meaning += ", or columns that share the other settings";
    name.read = [](FieldDraft& f, const YamlValue& v) {
      f.names.clear();
      for (const YamlValue& item : v.is_list() ? v.list() : std::vector{v}) f.names.push_back(item.text());
    };
    Key<FieldDraft>& type = *std::find_if(all.begin(), all.end(), [](const auto& key) { return key.name == "type"; });
    type.type += ", meta";
    type.meaning += "; meta: not an input, as active: false";
    type.read = [read = type.read](FieldDraft& f, const YamlValue& v) {
      f.is_meta = v.is_scalar() && v.text() == "meta";
      if (!f.is_meta) read(f, v);
    };
    all.push_back(ignored_field_key("remap", "groups are told apart by their text"));
    all.push_back(ignored_field_key("na_value", "fill_na is the value"));
    all.push_back(ignored_field_key("encoder", "FuxiCTR does not read it; the key is feature_encoder"));
    all.push_back(ignored_field_key("source", "all networks read all columns"));
    return all;
  }();
  return keys;
}

void read_fields(Draft& d, const YamlValue& v) {
  data::DatasetConfig& dataset = d.config.dataset;
  dataset.fields.clear();
  std::set<std::string> seen;
  for (const YamlValue& item : v.list()) {
    FieldDraft f;
    f.ignored = &d.config.ignored;
    read_map(field_keys(), f, item);
    for (const YamlValue::Entry& e : item.map()) f.given.emplace(e.name, e.value);
    if (f.is_meta) f.field.active = false;
    if (f.names.empty()) item.fail("expected a key 'name' with the name of the column");
    if (f.given.count("dtype") == 0 && f.field.type == data::FieldType::numeric) f.field.cell = data::CellType::real;
    if (f.given.count("feature_encoder") != 0 && f.field.type != data::FieldType::sequence) {
      f.given.at("feature_encoder").fail("only a column of type sequence can have one");
    }
    if (!f.field.share_embedding.empty() && seen.count(f.field.share_embedding) == 0) {
      f.given.at("share_embedding").fail(cat("there is no earlier column '", f.field.share_embedding, "'"));
    }
    for (const std::string& name : f.names) {
      if (name.empty()) item.fail("a column's name must not be empty");
      if (!seen.insert(name).second) item.fail(cat("column '", name, "' is listed twice"));
      f.field.name = name;
      f.field.where = item.where();
      dataset.fields.push_back(f.field);
    }
  }
}

std::string write_fields(const Draft& d) {
  std::string text;
  for (const data::FieldConfig& field : d.config.dataset.fields) {
    FieldDraft f;
    f.field = field;
    text += "\n  - " + write_map(field_keys(), f, {"name", "type", "dtype"});
  }
  return text.empty() ? "[]" : text;
}

}  // namespace kdef::config_keys
