// Names of the schema's enumerations in JSON; internal to data/.
#pragma once

#include <nlohmann/json.hpp>

#include "data/schema.h"

namespace kdef::data {

NLOHMANN_JSON_SERIALIZE_ENUM(FieldType, {{FieldType::categorical, "categorical"},
                                         {FieldType::sequence, "sequence"},
                                         {FieldType::numeric, "numeric"}})
NLOHMANN_JSON_SERIALIZE_ENUM(CellType, {{CellType::str, "str"}, {CellType::integer, "int"}, {CellType::real, "float"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Preprocess, {{Preprocess::none, "none"},
                                          {Preprocess::convert_to_bucket, "convert_to_bucket"},
                                          {Preprocess::extract_country_code, "extract_country_code"},
                                          {Preprocess::bucketize_age, "bucketize_age"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Pooling, {{Pooling::average, "average"}, {Pooling::sum, "sum"}, {Pooling::none, "none"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Padding, {{Padding::post, "post"}, {Padding::pre, "pre"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Normalizer, {{Normalizer::none, "none"},
                                          {Normalizer::standard, "StandardScaler"},
                                          {Normalizer::min_max, "MinMaxScaler"}})
NLOHMANN_JSON_SERIALIZE_ENUM(LabelKind, {{LabelKind::click, "click"}, {LabelKind::number, "number"}})

/// The settings of a field that decide how its cells become ids: what an encoder keeps, and what makes a cache stale.
inline nlohmann::ordered_json field_json(const FieldConfig& f) {
  nlohmann::ordered_json json = {{"name", f.name},
                                 {"type", f.type},
                                 {"dtype", f.cell},
                                 {"preprocess", f.preprocess},
                                 {"splitter", f.splitter},
                                 {"max_len", f.max_len},
                                 {"padding", f.padding},
                                 {"pooling", f.pooling},
                                 {"share_embedding", f.share_embedding}};
  if (f.fill_na) json["fill_na"] = *f.fill_na;
  if (f.embedding_dim) json["embedding_dim"] = *f.embedding_dim;
  return json;
}

}  // namespace kdef::data
