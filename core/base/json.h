// JSON of files that may come from strangers: every reader of JSON takes parse_json(). A test looks for others.
#pragma once

#include <string>
#include <string_view>

#include "core/base/error.h"

namespace kdef {

/// How deep arrays and objects may stand in each other. Files of kdef have less than ten levels.
inline constexpr int kMaxJsonDepth = 64;

/// Throws InputError, which begins with `where`, for text with more levels than kMaxJsonDepth. The JSON library copies
/// and writes values by recursion, and so would overflow the stack. The text need not be valid.
void check_json_depth(std::string_view text, const std::string& where);

/// Parses text as `Json`, a class of nlohmann/json. Throws InputError as above and for a number beyond fp64, and
/// otherwise Json::parse_error.
template <class Json>
Json parse_json(std::string_view text, const std::string& where) {
  check_json_depth(text, where);
  try {
    return Json::parse(text);
  } catch (const typename Json::out_of_range&) {
    throw InputError(cat(where, ": its JSON has a number that is too large; the largest is 1.8e308"));
  }
}

/// The integer under `key`. Json::get() converts other numbers, too, which is undefined where T cannot hold them.
/// Throws InputError, which begins with `where`, for another value, and what Json::at() throws where there is none.
template <class T, class Json>
T integer_at(const Json& object, const char* key, const std::string& where) {
  const Json& json = object.at(key);
  if (!json.is_number_integer()) throw InputError(cat(where, ": \"", key, "\" is ", json.dump(), ", no whole number"));
  return json.template get<T>();
}

}  // namespace kdef
