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

/// Parses text as `Json`, a class of nlohmann/json. Throws InputError as above, and otherwise what Json::parse()
/// throws.
template <class Json>
Json parse_json(std::string_view text, const std::string& where) {
  check_json_depth(text, where);
  return Json::parse(text);
}

}  // namespace kdef
