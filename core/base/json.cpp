#include "core/base/json.h"

namespace kdef {

void check_json_depth(std::string_view text, const std::string& where) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) {
        throw InputError(cat(where, ": its JSON has more than ", kMaxJsonDepth,
                             " levels of lists and objects, at byte ", i + 1, "; kdef writes no such file"));
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

}  // namespace kdef
