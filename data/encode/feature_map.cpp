#include "data/encode/feature_map.h"

#include <set>

#include "core/base/error.h"
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

Field read_field(const Json& json, size_t index, const std::string& path) {
  std::string where = cat(path, ": fields[", index, "]");
  if (!json.is_object()) throw InputError(where + ": an object with name and type is expected");
  Field field;
  field.name = read_string(json, "name", "", where);
  if (field.name.empty()) throw InputError(where + ": \"name\" is missing or empty");
  where += cat(" (", field.name, ")");
  const std::string type = read_string(json, "type", "", where);
  if (type != "categorical" && type != "sequence" && type != "numeric") {
    throw InputError(cat(where, ": \"type\" is '", type, "'; categorical, sequence or numeric is expected"));
  }
  field.type = Json(type).get<FieldType>();
  if (field.type != FieldType::numeric) field.vocab_size = read_count(json, "vocab_size", 2, where);
  if (field.type == FieldType::sequence) {
    field.max_len = read_count(json, "max_len", 1, where);
    const std::string pooling = read_string(json, "pooling", "average", where);
    if (pooling != "average" && pooling != "sum") {
      throw InputError(cat(where, ": \"pooling\" is '", pooling, "'; average or sum is expected"));
    }
    field.pooling = Json(pooling).get<Pooling>();
  }
  if (json.contains("embedding_dim")) field.embedding_dim = read_count(json, "embedding_dim", 1, where);
  field.share_embedding = read_string(json, "share_embedding", "", where);
  return field;
}

}  // namespace

std::string read_text(const std::string& path) {
  auto source = ByteSource::open(path);
  std::string text;
  char block[65536];
  for (size_t n; (n = source->read(block, sizeof(block))) > 0;) text.append(block, n);
  return text;
}

FeatureMap parse_feature_map(const std::string& text, const std::string& path) {
  Json json;
  try {
    json = Json::parse(text);
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

std::string to_json(const FeatureMap& map) {
  Json json = {{"dataset", map.dataset}, {"label", map.label}, {"fields", Json::array()}};
  for (const Field& field : map.fields) {
    Json entry = {{"name", field.name}, {"type", field.type}};
    if (field.type != FieldType::numeric) entry["vocab_size"] = field.vocab_size;
    if (field.type == FieldType::sequence) {
      entry["max_len"] = field.max_len;
      entry["pooling"] = field.pooling;
    }
    if (field.embedding_dim) entry["embedding_dim"] = *field.embedding_dim;
    if (!field.share_embedding.empty()) entry["share_embedding"] = field.share_embedding;
    json["fields"].push_back(std::move(entry));
  }
  try {
    return json.dump(1) + "\n";
  } catch (const Json::type_error&) {
    throw InputError(cat("feature map of ", map.dataset, ": a field's name is not valid UTF-8; rename the column"));
  }
}

void save_feature_map(const FeatureMap& map, const std::string& path) { write_file(path, to_json(map)); }

}  // namespace kdef::data
