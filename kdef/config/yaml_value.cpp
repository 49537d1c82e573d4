#include "kdef/config/yaml_value.h"

#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/io/file.h"
#include "data/encode/feature_map.h"

namespace kdef {
namespace {

// Letters and digits of ASCII, whatever the locale of the process is.
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// true, True and TRUE, but not tRuE.
bool is_word(const std::string& text, const char* word) {
  if (lower_case(text) != word) return false;
  return std::none_of(text.begin() + 1, text.end(), is_upper) || std::none_of(text.begin(), text.end(), is_lower);
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

std::string without(std::string_view text, char left_out) {
  std::string rest(text);
  std::erase(rest, left_out);
  return rest;
}

// The forms of whole numbers in YAML 1.1, as PyYAML reads them: 0b101, 0100 (octal, 64), 0x40, 1_000, 1:30 (base 60,
// 90), each with a sign or without. Nothing for any other text, as 08, and for a number beyond 64 bits.
std::optional<int64_t> integer_of(std::string_view text) {
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text.empty() || !is_digit(text[0])) return std::nullopt;
  int base = 10;
  if (text[0] == '0' && text.size() > 1) {
    base = text[1] == 'b' ? 2 : text[1] == 'x' ? 16 : 8;
    text.remove_prefix(base == 8 ? 1 : 2);
  }
  const std::string digits = without(text, '_');
  const std::vector<std::string> parts = base == 10 ? split(digits, ':') : std::vector{digits};
  uint64_t value = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    uint64_t part = 0;
    const char *begin = parts[i].data(), *end = begin + parts[i].size();
    const std::from_chars_result read = std::from_chars(begin, end, part, base);
    if (read.ec != std::errc() || read.ptr != end || (i > 0 && (part > 59 || parts[i].size() > 2)) ||
        __builtin_mul_overflow(value, uint64_t{60}, &value) || __builtin_add_overflow(value, part, &value)) {
      return std::nullopt;
    }
  }
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (value > kMax + negative) return std::nullopt;
  return static_cast<int64_t>(negative ? 0 - value : value);
}

// A whole number as above, or a decimal number with digits that may be grouped by '_'. A number needs no decimal point
// and no sign in its exponent: 1e-5 is a number here, where PyYAML reads a text.
std::optional<double> real_of(std::string_view text) {
  if (const std::optional<int64_t> whole = integer_of(text)) return static_cast<double>(*whole);
  const std::string_view unsigned_text = !text.empty() && (text[0] == '-' || text[0] == '+') ? text.substr(1) : text;
  const bool is_leading_zero = unsigned_text.size() > 1 && unsigned_text[0] == '0' && is_digit(unsigned_text[1]) &&
                               unsigned_text.find('.') == std::string_view::npos;
  if (is_leading_zero) return std::nullopt;  // 08 is a text for PyYAML
  const std::string digits = without(text, '_');
  double value = 0;
  const bool plus = digits.size() > 1 && digits[0] == '+' && digits[1] != '-';
  return read_number(std::string_view(digits).substr(plus ? 1 : 0), value) ? std::optional(value) : std::nullopt;
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

bool YamlValue::is_boolean() const { return plain() && boolean_of(node_.Scalar()) >= 0; }

bool YamlValue::is_integer() const { return plain() && integer_of(node_.Scalar()).has_value(); }

bool YamlValue::is_number() const { return plain() && real_of(node_.Scalar()).has_value(); }

int64_t YamlValue::integer(int64_t min, int64_t max) const {
  const std::optional<int64_t> value = plain() ? integer_of(node_.Scalar()) : std::nullopt;
  if (!value || *value < min || *value > max) {
    expected(max == std::numeric_limits<int64_t>::max() ? cat("an integer of at least ", min)
                                                        : cat("an integer in [", min, ", ", max, "]"));
  }
  return *value;
}

double YamlValue::real(double min, double max, bool below) const {
  const std::optional<double> value = plain() ? real_of(node_.Scalar()) : std::nullopt;
  if (!value || !std::isfinite(*value) || *value < min || *value > max || (below && *value == max)) {
    expected(std::isinf(min)   ? std::string("a number")
             : std::isinf(max) ? cat("a number of at least ", min)
                               : cat("a number in [", min, ", ", max, below ? ")" : "]"));
  }
  return *value;
}

std::string YamlValue::text() const {
  if (!is_scalar()) expected("text");
  const std::string& written = node_.Scalar();
  const std::optional<int64_t> number = plain() ? integer_of(written) : std::nullopt;
  if (number && cat(*number) != written) {
    fail(cat("YAML reads ", written, " as the number ", *number, "; write '", written, "' in quotes, or ", *number));
  }
  return written;
}

std::string YamlValue::one_of(const std::vector<std::string>& names) const {
  if (is_scalar()) {
    for (const std::string& name : names) {
      if (lower_case(name) == lower_case(node_.Scalar())) return name;
    }
    fail(cat("found ", describe(node_), did_you_mean(node_.Scalar(), names), ", expected one of ", joined(names)));
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

namespace {

// Where documents begin. yaml-cpp's own list of documents does not end for a ',' behind a value: the parser finds an
// empty document there, again and again.
class DocumentStarts : public YAML::EventHandler {
 public:
  YAML::Mark last;
  void OnDocumentStart(const YAML::Mark& mark) override { last = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// Throws ParserException where something stands behind the first document.
void check_one_document(const std::string& text) {
  std::stringbuf bytes(text);
  std::istream in(&bytes);
  YAML::Parser parser(in);
  DocumentStarts starts;
  if (!parser.HandleNextDocument(starts) || !parser.HandleNextDocument(starts)) return;
  const auto at = static_cast<size_t>(std::max(starts.last.pos, 0));
  throw YAML::ParserException(starts.last, at < text.size() && text[at] == ','
                                               ? "a ',' stands behind the value; remove it"
                                               : "a second YAML document begins; keep one (remove '---')");
}

// The line of `mark`, if it is indented with a tab.
bool has_tab_before(const std::string& text, const YAML::Mark& mark) {
  const std::vector<std::string> lines = split(text, '\n');
  if (mark.line < 0 || static_cast<size_t>(mark.line) >= lines.size()) return false;
  const std::string& line = lines[static_cast<size_t>(mark.line)];
  const size_t first = line.find_first_not_of(' ');
  return first != std::string::npos && line[first] == '\t';
}

}  // namespace

YamlValue parse_yaml(const std::string& text, const std::string& source, const std::string& key, bool located) {
  try {
    const YAML::Node document = YAML::Load(text);
    check_one_document(text);
    return {document, source, key, located};
  } catch (const YAML::Exception& e) {
    const bool is_tab = !e.mark.is_null() && has_tab_before(text, e.mark);
    const int column = is_tab ? 1 : e.mark.column + 1;
    const std::string where = located && !e.mark.is_null() ? cat(source, ":", e.mark.line + 1, ":", column) : source;
    throw InputError(cat(where, ": ", key.empty() ? "" : cat("key '", key, "': "), "not valid YAML: ",
                         is_tab ? "the line is indented with a tab; indent it with spaces" : e.msg));
  }
}

YamlValue load_yaml_file(const std::string& path) {
  if (!exists(path)) throw InputError(cat(path, ": there is no such file"));
  if (std::filesystem::is_directory(path)) throw InputError(cat(path, ": is a folder; a YAML file is expected"));
  return parse_yaml(data::read_text(path), path, "");
}

std::string yaml_text(std::string_view text) {
  const auto is_name = [](char c) { return is_lower(c) || is_upper(c) || is_digit(c) || c == '_'; };
  const bool plain = !text.empty() && !is_digit(text[0]) && std::all_of(text.begin(), text.end(), is_name);
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
