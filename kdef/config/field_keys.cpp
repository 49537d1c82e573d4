// The keys of an entry of `feature_cols`.
#include <algorithm>
#include <set>

#include "core/base/error.h"
#include "core/base/text.h"
#include "data/field_keys.h"
#include "kdef/config/build.h"
#include "kdef/config/key_types.h"

namespace kdef::config_keys {
namespace {

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

namespace {

// The row of a key whose type or reader differs from that of data/field_keys.h.
Key<FieldDraft>& row_of(std::vector<Key<FieldDraft>>& keys, const char* name) {
  return *std::find_if(keys.begin(), keys.end(), [&](const auto& key) { return key.name == name; });
}

// NAME or NAME(COLUMN), as FuxiCTR writes it. Dates are read from Avazu's column `hour`, whatever the argument is.
void read_preprocess(FieldDraft& f, const YamlValue& v) {
  f.source.clear();
  const data::FieldKey& key = data::field_key("preprocess");
  std::string name = v.is_scalar() ? v.text() : "";
  const size_t open = name.find('(');
  if (open != std::string::npos) {
    if (name.back() != ')') v.expected("NAME or NAME(COLUMN)");
    f.source = name.substr(open + 1, name.size() - open - 2);
    name.resize(open);
  }
  if (name.starts_with("convert_") && name != "convert_to_bucket") f.source = "hour";
  f.field.preprocess = data::Preprocess::none;
  if (name == "copy_from") {
    if (f.source.empty()) v.expected("copy_from(COLUMN)");
  } else if (!name.empty()) {
    key.config.set(
        f.field,
        read_value(key, open == std::string::npos ? v : YamlValue(YAML::Node(name), v.where(), v.key(), false)));
  }
}

// FuxiCTR's encoders, alone or one after the other: they are compared, never evaluated.
void read_encoder(FieldDraft& f, const YamlValue& v) {
  f.field.pooling = data::Pooling::none;
  f.field.linear = 0;
  const data::FieldKey& key = data::field_key("feature_encoder");
  for (const YamlValue& item : v.is_list() ? v.list() : std::vector{v}) {
    const std::string text = item.is_scalar() ? item.text() : "";
    const bool is_none = item.is_null() || (item.is_scalar() && text.empty()) || lower_case(text) == "none" ||
                         lower_case(text) == "null";
    if (is_none) continue;
    if (f.field.linear != 0) item.fail("nothing can stand behind nn.Linear");
    if (text.find("nn.Linear(") == std::string::npos) {
      if (f.field.pooling != data::Pooling::none) item.fail("a column can have one pooling");
      key.config.set(f.field, read_value(key, item));
      continue;
    }
    const std::optional<int64_t> width = square_linear(text);
    if (!width) item.expected("nn.Linear(N, N, bias=False), N the embedding_dim of the column");
    f.field.linear = *width;
  }
}

constexpr const char* kVectors =
    "a column of vectors is not read (FuxiCTR itself reads one from Parquet and .npz alone, not from CSV). The same "
    "network comes from a column of words that name the vectors, with pretrained_emb: FILE, pretrain_dim and "
    "freeze_emb: true; the part 'Columns of vectors' of docs/configuration.md has the steps";

// A key that FuxiCTR reads in another version than that of the file; `key`: what it means in its own version.
Key<FieldDraft> version_1_key(const char* name, const char* key,
                              std::function<void(FieldDraft&, const YamlValue&)> read) {
  return {name, cat("as ", key), cat(key, " in files of FuxiCTR 1; ignored in others"),
          [=](FieldDraft& f, const YamlValue& v) {
            if (f.version == 1) return read(f, v);
            f.ignored->push_back(cat("feature_cols.", name));
          }};
}

// A key that would change the column, and is not supported: only null is accepted.
Key<FieldDraft> refused_field_key(const char* name, const char* reason) {
  return {name, "null", cat("not supported: ", reason), [=](FieldDraft&, const YamlValue& v) {
            if (!v.is_null()) v.fail(reason);
          }};
}

std::vector<Key<FieldDraft>> foreign_field_keys(const std::vector<Key<FieldDraft>>& known) {
  const auto read = [&](const char* name) { return find_row(known, name)->read; };
  return {
      version_1_key("na_value", "fill_na", read("fill_na")),
      version_1_key("encoder", "feature_encoder", read("feature_encoder")),
      refused_field_key("emb_output_dim", "the width of an embedding is embedding_dim"),
      refused_field_key("category_processor", "FuxiCTR cannot encode such a column either"),
      refused_field_key("num_buckets", "FuxiCTR cannot encode such a column either"),
  };
}

}  // namespace

// The keys of data/field_keys.h, and those that files of FuxiCTR have.
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
    Key<FieldDraft>& dtype = row_of(all, "dtype");
    dtype.read = [read = dtype.read](FieldDraft& f, const YamlValue& v) {
      if (v.is_scalar() && v.text() == "list") v.fail(kVectors);
      read(f, v);
    };
    Key<FieldDraft>& type = row_of(all, "type");
    type.type += ", meta";
    type.meaning += "; meta: not an input, as active: false (its groups are told apart by their texts, with any remap)";
    type.read = [read = type.read](FieldDraft& f, const YamlValue& v) {
      if (v.is_scalar() && v.text() == "embedding") v.fail(kVectors);
      std::vector<std::string> types = data::field_key("type").choice_names();
      types.emplace_back("meta");
      f.is_meta = v.one_of(types) == "meta";
      if (!f.is_meta) read(f, v);
    };
    Key<FieldDraft>& preprocess = row_of(all, "preprocess");
    preprocess.type = preprocess.type.substr(0, preprocess.type.rfind(", null")) + ", copy_from(COLUMN), null";
    preprocess.meaning += "; NAME(COLUMN) reads that column, as FuxiCTR writes it";
    preprocess.read = read_preprocess;
    Key<FieldDraft>& encoder = row_of(all, "feature_encoder");
    encoder.type = cat("one, or a list, of ", encoder.type, ", nn.Linear(N, N, bias=False)");
    encoder.meaning += "; behind it, or alone for a column of one id, nn.Linear sets `linear`";
    encoder.read = read_encoder;
    Key<FieldDraft>& fill = row_of(all, "fill_na");
    fill.meaning += "; not given: see fuxictr_version; null: a missing number is an error";
    for (const Key<FieldDraft>& key : foreign_field_keys(all)) all.push_back(key);
    return all;
  }();
  return keys;
}

namespace {

// What pandas takes for a missing cell, also in columns of texts, beside an empty one. Version 1 reads files by it.
const std::vector<std::string>& missing_for_pandas() {
  static const std::vector<std::string> all = {"#N/A", "#N/A N/A", "#NA",     "-1.#IND", "-1.#QNAN", "-NaN",
                                               "-nan", "1.#IND",   "1.#QNAN", "<NA>",    "N/A",      "NA",
                                               "NULL", "NaN",      "None",    "n/a",     "nan",      "null"};
  return all;
}

// What an entry leaves open follows from its type and from the version of the file.
void complete(Draft& d, FieldDraft& f) {
  data::FieldConfig& field = f.field;
  const auto given = [&](const char* key) { return f.given.count(key) != 0; };
  if (f.is_meta) field.active = false;
  if (!d.config.dataset.rebuild) field.remap = false;
  if (field.id_count > 0 && field.remap && !d.resolved) {
    f.given.at("vocab_size").fail("is used with remap: false; ids are made from the values of this column");
  }
  if (!given("dtype") && field.type == data::FieldType::numeric) field.cell = data::CellType::real;
  if (d.resolved || !d.config.dataset.rebuild) return;
  const bool is_first = d.dialect.version == 1, is_number = field.cell != data::CellType::str;
  const bool fills = given("fill_na") || (is_first && given("na_value"));
  if (field.type == data::FieldType::sequence && !given("splitter") && is_first) field.splitter = " ";
  if (is_number && !fills && !is_first) field.fill_by_type = true;
  // FuxiCTR compares the number with the words and finds none equal: the word 0 keeps an id, which empty cells get.
  if (!is_number && !is_first && given("fill_na") && f.given.at("fill_na").is_number()) {
    const YamlValue& fill = f.given.at("fill_na");
    fill.fail(cat("is a number, and the column has texts (dtype str): FuxiCTR then gives the word ", fill.text(),
                  " an id and fills empty cells with it; write '", fill.text(),
                  "' in quotes for a word that stands for a missing cell and has no id"));
  }
  if (!is_number && is_first && !field.na_values && !d.config.dataset.na_values) {
    field.na_values = missing_for_pandas();
  }
  d.needs_dialect |= given("na_value") || given("encoder") || (is_number && !fills) ||
                     (field.type == data::FieldType::sequence && !given("splitter"));
}

// FuxiCTR preprocesses the columns from the last to the first: a column that is made from one below it gets what that
// one has become. Only unchanged cells are read here.
void check_sources(const std::vector<data::FieldConfig>& fields) {
  for (size_t i = 0; i < fields.size(); ++i) {
    for (size_t below = i + 1; below < fields.size() && fields[i].is_made(); ++below) {
      const data::FieldConfig &made = fields[i], &source = fields[below];
      if (source.name != made.raw_column()) continue;
      const bool is_filled = source.fill_na && source.fill_na != made.fill_na;
      const bool is_changed = source.preprocess != data::Preprocess::none || source.is_made();
      if (!is_changed && !is_filled) continue;
      throw InputError(cat(made.where, ": column '", made.name, "' is made from column '", source.name,
                           "', which stands below it and so is ", is_changed ? "preprocessed" : "filled", " before; ",
                           is_changed ? "" : cat("give '", made.name, "' the fill_na of '", source.name, "', too, or "),
                           "list '", source.name, "' above it"));
    }
  }
}

void check_encoder(FieldDraft& f, const YamlValue& at) {
  if (f.field.type == data::FieldType::sequence) {
    if (f.field.pooling == data::Pooling::none) {
      at.fail(cat("a sequence must be pooled, with ", joined(data::field_key("feature_encoder").choice_names()),
                  "; the networks of FuxiCTR that read every id of a sequence (DIN, DIEN, BST and others) are not in "
                  "this program, and its other networks fail without a pooling, too, LR excepted, which adds the "
                  "weights, as with layers.MaskedSumPooling()"));
    }
  } else {
    if (f.field.pooling != data::Pooling::none) at.fail("only a column of type sequence can have one");
    f.field.pooling = data::FieldConfig().pooling;
  }
}

}  // namespace

void read_fields(Draft& d, const YamlValue& v) {
  data::DatasetConfig& dataset = d.config.dataset;
  dataset.fields.clear();
  std::set<std::string> seen;
  for (const YamlValue& item : v.list()) {
    FieldDraft f;
    f.ignored = &d.config.ignored;
    f.version = d.dialect.version;
    read_map(field_keys(), f, item);
    for (const YamlValue::Entry& e : item.map()) f.given.emplace(e.name, e.value);
    if (f.names.empty()) item.fail("expected a key 'name' with the name of the column");
    complete(d, f);
    if (f.given.count("feature_encoder") != 0) check_encoder(f, f.given.at("feature_encoder"));
    if (!f.field.share_embedding.empty() && seen.count(f.field.share_embedding) == 0) {
      f.given.at("share_embedding").fail(cat("there is no earlier column '", f.field.share_embedding, "'"));
    }
    const std::string column = f.source.empty() ? f.field.column : f.source;
    for (const std::string& name : f.names) {
      if (name.empty()) item.fail("a column's name must not be empty");
      if (!seen.insert(name).second) item.fail(cat("column '", name, "' is listed twice"));
      f.field.name = name;
      f.field.column = column == name ? "" : column;
      f.field.where = item.where();
      dataset.fields.push_back(f.field);
    }
  }
  if (!d.resolved) check_sources(dataset.fields);
}

namespace {

// Calls fn(field) for every column that `v`, a name or a list of names, names.
template <class Fn>
void for_columns(std::vector<data::FieldConfig>& fields, const YamlValue& v, Fn fn) {
  for (const YamlValue& item : v.is_list() ? v.list() : std::vector{v}) {
    const std::string name = item.text();
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.name == name; });
    if (field == fields.end()) {
      item.fail(cat("the data set has no column '", name, "'", did_you_mean(name, row_names(fields))));
    }
    fn(*field, item);
  }
}

}  // namespace

void read_feature_specs(Draft& d, const YamlValue& v) {
  std::vector<data::FieldConfig>& fields = d.config.dataset.fields;
  if (v.is_null() || fields.empty()) return;
  for (const YamlValue& item : v.list()) {
    const std::vector<YamlValue::Entry> entries = item.map();
    const auto names = std::find_if(entries.begin(), entries.end(), [](const auto& e) { return e.name == "name"; });
    if (names == entries.end()) item.fail("expected a key 'name' with the name of a column");
    for_columns(fields, names->value, [&](data::FieldConfig& field, const YamlValue&) {
      FieldDraft f;
      f.field = field;
      f.ignored = &d.config.ignored;
      for (const YamlValue::Entry& e : entries) {
        if (e.name == "name") continue;
        if (e.name != "feature_encoder" && e.name != "embedding_dim") {
          e.key.fail("feature_specs replaces feature_encoder and embedding_dim here; write this key into feature_cols");
        }
        find_row(field_keys(), e.name)->read(f, e.value);
        if (e.name == "feature_encoder") check_encoder(f, e.value);
      }
      field = f.field;
    });
  }
}

void read_use_features(Draft& d, const YamlValue& v) {
  std::vector<data::FieldConfig>& fields = d.config.dataset.fields;
  if (v.is_null() || (v.is_list() && v.node().size() == 0) || fields.empty()) return;
  std::vector<data::FieldConfig> used;
  for_columns(fields, v, [&](data::FieldConfig& field, const YamlValue& item) {
    const auto is_this = [&](const data::FieldConfig& f) { return f.name == field.name; };
    if (std::any_of(used.begin(), used.end(), is_this)) item.fail(cat("column '", field.name, "' is named twice"));
    if (!field.active && field.name == d.config.dataset.group) return;  // of type meta: no input in FuxiCTR either
    if (!field.active) {
      item.fail(cat("column '", field.name,
                    "' is no input, by type: meta or active: false in feature_cols; leave it out here"));
    }
    used.push_back(field);
    field.active = false;
  });
  for (data::FieldConfig& field : fields) {
    const auto shares = [&](const data::FieldConfig& other) {
      return other.share_embedding == field.name || field.share_embedding == other.name;
    };
    if (field.active && std::any_of(used.begin(), used.end(), shares)) {
      v.fail(cat("column '", field.name,
                 "' and a column that is used share an embedding; name it here, too, or set active: false in its "
                 "entry of feature_cols"));
    }
  }
  for (data::FieldConfig& field : fields) {
    if (std::any_of(used.begin(), used.end(), [&](const auto& f) { return f.name == field.name; })) continue;
    field.active = false;
    used.push_back(field);
  }
  fields = used;
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
