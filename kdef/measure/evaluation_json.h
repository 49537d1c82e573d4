// Evaluations as JSON values, for files that hold them beside other things. Private to the library.
#pragma once

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/json.h"
#include "kdef/measure/evaluation.h"

namespace kdef {

/// Keys stay in the order in which they are written.
using Json = nlohmann::ordered_json;

/// Calls read(json) with the JSON of `text`, a file of a run. Throws InputError, which begins with `where`, if the text
/// is not JSON or lacks what is read.
template <class Read>
auto parse_written(const std::string& text, const std::string& where, Read read) {
  try {
    return read(parse_json<Json>(text, "its text"));
  } catch (const Json::exception& e) {
    throw InputError(cat(where, ": is not a file that kdef wrote: ", e.what()));
  } catch (const InputError& e) {
    throw InputError(cat(where, ": is not a file that kdef wrote: ", e.what()));
  }
}

/// null where the value is not a finite number.
inline Json number_to_json(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
/// NaN of null.
inline double number_from_json(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}
/// A count: an integer from 0 to 2^53, which every JSON reader keeps exactly. Throws InputError with `name` for others.
inline int64_t count_from_json(const Json& json, const char* name) {
  constexpr uint64_t kMax = uint64_t{1} << 53;
  const bool fits = json.is_number_integer() && json.get<uint64_t>() <= kMax;  // a negative one is larger than kMax
  if (!fits) throw InputError(cat(name, ": expected a whole number from 0 to 2^53, found ", json.dump()));
  return json.get<int64_t>();
}

/// The format: to_json(const Evaluation&) in evaluation.h. Keys that are not of a metric are passed over. Throws
/// InputError for more metrics than a run can have, and for calibration bins that calibration_bins() cannot give.
void to_json(Json& json, const Quality& quality);
void from_json(const Json& json, Quality& quality);
void to_json(Json& json, const Evaluation& evaluation);
void from_json(const Json& json, Evaluation& evaluation);

}  // namespace kdef
