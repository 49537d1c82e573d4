// Evaluations as JSON values, for files that hold them beside other things. Private to the library.
#pragma once

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "kdef/measure/evaluation.h"

namespace kdef {

/// Keys stay in the order in which they are written.
using Json = nlohmann::ordered_json;

/// null where the value is not a finite number.
inline Json number_to_json(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
/// NaN of null.
inline double number_from_json(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

/// The format: to_json(const Evaluation&) in evaluation.h. Keys that are not of a metric are passed over.
void to_json(Json& json, const Quality& quality);
void from_json(const Json& json, Quality& quality);
void to_json(Json& json, const Evaluation& evaluation);
void from_json(const Json& json, Evaluation& evaluation);

}  // namespace kdef
