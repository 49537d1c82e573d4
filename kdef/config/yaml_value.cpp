#include "kdef/config/yaml_value.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "core/base/error.h"
#include "core/base/names.h"

namespace kdef {
namespace {

// true, True and TRUE, but not tRuE.
bool is_word(const std::string& text, const char* word) {
  if (lower_case(text) != word) return false;
  const bool rest_lower = std::none_of(text.begin() + 1, text.end(), [](unsigned char c) { return std::isupper(c); });
  const bool all_upper = std::none_of(text.begin(), text.end(), [](unsigned char c) { return std::islower(c); });
  return rest_lower || all_upper;
}

// 1 and 0 for the booleans of YAML 1.1, -1 for anything else.
int boolean_of(const std::string& text) {
  if (text.empty()) return -1;
  for (const char* word : {"true", "yes", "on"}) {
    if (is_word(text, word)) return 1;
  }
  for (const char* word : {"false", "no", "off"}) {
    if (is_word(text, word)) return 0;
  }
  return -1;
}

template <class T>
bool parse_number(std::string_view text, T& value) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  return read_number(text, value);
}

std::string describe(const YAML::Node& node) {
  if (!node.IsDefined() || node.IsNull()) return "nothing (null)";
  if (node.IsSequence()) return cat("a list of ", node.size());
  if (node.IsMap()) return "a map";
  constexpr size_t kShown = 60;
  const std::string& text = node.Scalar();
  const std::string shown = text.size() > kShown ? text.substr(0, kShown) + "..." : text;
  return cat(node.Tag() == "!" ? "the text '" : "'", shown, "'");
}

}  // namespace

std::string YamlValue::where() const {
  const YAML::Mark mark = node_.Mark();
  if (!located_ || mark.is_null()) return source_;
  return cat(source_, ":", mark.line + 1, ":", mark.column + 1);
}

void YamlValue::fail(std::string_view problem) const {
  throw InputError(cat(where(), ": ", key_.empty() ? "" : cat("key '", key_, "': "), problem));
}

void YamlValue::expected(std::string_view what) const { fail(cat("expected ", what, ", found ", describe(node_))); }

bool YamlValue::boolean() const {
  const int value = plain() ? boolean_of(node_.Scalar()) : -1;
  if (value < 0) expected("true or false");
  return value == 1;
}

bool YamlValue::is_integer() const {
  int64_t value;
  return plain() && parse_number(node_.Scalar(), value);
}

int64_t YamlValue::integer(int64_t min, int64_t max) const {
  int64_t value = 0;
  if (!plain() || !parse_number(node_.Scalar(), value) || value < min || value > max) {
    expected(max == std::numeric_limits<int64_t>::max() ? cat("an integer of at least ", min)
                                                        : cat("an integer in [", min, ", ", max, "]"));
  }
  return value;
}

double YamlValue::real(double min, double max, bool below) const {
  double value = 0;
  if (!plain() || !parse_number(node_.Scalar(), value) || !std::isfinite(value) || value < min || value > max ||
      (below && value == max)) {
    expected(std::isinf(min)   ? std::string("a number")
             : std::isinf(max) ? cat("a number of at least ", min)
                               : cat("a number in [", min, ", ", max, below ? ")" : "]"));
  }
  return value;
}

std::string YamlValue::text() const {
  if (!is_scalar()) expected("text");
  return node_.Scalar();
}

std::string YamlValue::one_of(const std::vector<std::string>& names) const {
  if (is_scalar()) {
    for (const std::string& name : names) {
      if (lower_case(name) == lower_case(node_.Scalar())) return name;
    }
    fail(cat("expected one of ", joined(names), ", found ", describe(node_), did_you_mean(node_.Scalar(), names)));
  }
  expected(cat("one of ", joined(names)));
}

std::vector<YamlValue> YamlValue::list() const {
  if (!is_list()) expected("a list");
  std::vector<YamlValue> values;
  for (size_t i = 0; i < node_.size(); ++i) {
    values.emplace_back(node_[i], source_, cat(key_, "[", i, "]"), located_);
  }
  return values;
}

std::vector<YamlValue::Entry> YamlValue::map() const {
  std::vector<Entry> entries;
  std::set<std::string> seen;
  std::vector<YAML::Node> done;
  collect(seen, done, entries);
  return entries;
}

// Appends the entries whose keys are not in `seen`, then those of the maps that this map merges (`<<`). Each map is
// visited once, so that the recursion ends for maps that merge each other.
void YamlValue::collect(std::set<std::string>& seen, std::vector<YAML::Node>& done, std::vector<Entry>& entries) const {
  if (is_null()) return;
  if (!is_map()) expected("a map (lines of 'key: value')");
  if (std::any_of(done.begin(), done.end(), [&](const YAML::Node& other) { return other.is(node_); })) return;
  done.push_back(node_);
  std::set<std::string> names;
  std::vector<YamlValue> merged;  // of YAML's merge key: maps whose entries count where the key is not set here
  for (const auto& item : node_) {
    const YAML::Node &key = item.first, &value = item.second;
    if (!key.IsScalar()) YamlValue(key, source_, key_, located_).fail("a key must be a word");
    const std::string name = key.Scalar(), path = key_.empty() ? name : key_ + "." + name;
    if (name == "<<") {
      const YamlValue maps(value, source_, path, located_);
      for (const YamlValue& map : maps.is_list() ? maps.list() : std::vector{maps}) merged.push_back(map);
      continue;
    }
    const Entry entry{name, YamlValue(key, source_, path, located_), YamlValue(value, source_, path, located_)};
    if (!names.insert(name).second) entry.key.fail("occurs twice; keep one of them");
    if (seen.insert(name).second) entries.push_back(entry);
  }
  for (const YamlValue& map : merged) map.collect(seen, done, entries);
}

YamlValue parse_yaml(const std::string& text, const std::string& source, const std::string& key, bool located) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    const YamlValue value(documents.empty() ? YAML::Node() : documents[0], source, key, located);
    if (documents.size() > 1) {
      YamlValue(documents[1], source, key, located).fail("a second YAML document begins; keep one (remove '---')");
    }
    return value;
  } catch (const YAML::Exception& e) {
    const std::string where =
        located && !e.mark.is_null() ? cat(source, ":", e.mark.line + 1, ":", e.mark.column + 1) : source;
    throw InputError(cat(where, ": ", key.empty() ? "" : cat("key '", key, "': "), "not valid YAML: ", e.msg));
  }
}

YamlValue load_yaml_file(const std::string& path) {
  if (!std::filesystem::exists(path)) throw InputError(cat(path, ": there is no such file"));
  if (std::filesystem::is_directory(path)) throw InputError(cat(path, ": is a folder; a YAML file is expected"));
  std::ifstream file(path, std::ios::binary);
  if (!file) throw SystemError(cat(path, ": cannot be read: ", std::strerror(errno)));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) throw SystemError(cat(path, ": cannot be read: ", std::strerror(errno)));
  return parse_yaml(text, path, "");
}

std::string yaml_text(std::string_view text) {
  const auto is_name = [](unsigned char c) { return std::isalnum(c) || c == '_'; };
  const bool plain = !text.empty() && (std::isalpha(static_cast<unsigned char>(text[0])) || text[0] == '_') &&
                     std::all_of(text.begin(), text.end(), is_name);
  const std::string small = lower_case(text);
  if (plain && boolean_of(small) < 0 && small != "null" && small != "y" && small != "n") return std::string(text);
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      constexpr char kHex[] = "0123456789ABCDEF";
      result += "\\x";
      result += kHex[static_cast<unsigned char>(c) >> 4];
      result += kHex[c & 15];
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string yaml_number(double value) { return shortest(value); }

std::string yaml_list(const std::vector<std::string>& scalars) { return "[" + joined(scalars) + "]"; }

}  // namespace kdef
