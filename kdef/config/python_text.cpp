#include "kdef/config/python_text.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <regex>

#include "core/base/text.h"

namespace kdef::config_keys {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxText = size_t{1} << 20;
constexpr const char* kTuple = "tag:yaml.org,2002:python/tuple";

// repr() of a number: the shortest digits that read back as the same number, with an exponent of at least two digits
// for 1e16 and above, and below 1e-4.
std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string text(buffer, end);  // "-1.25e+02"
  const size_t e = text.find('e');
  int exponent = 0;
  read_number(std::string_view(text).substr(e + (text[e + 1] == '+' ? 2 : 1)), exponent);
  if (exponent >= 16 || exponent < -4) return text;
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  const std::string sign = text[0] == '-' ? "-" : "";
  if (exponent < 0) return cat(sign, "0.", std::string(static_cast<size_t>(-exponent - 1), '0'), digits);
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return cat(sign, digits, std::string(whole - digits.size(), '0'), ".0");
  return cat(sign, digits.substr(0, whole), ".", digits.substr(whole));
}

// The number that a word is if PyYAML takes it for one with a decimal point (YAML 1.1: 1.e-4, but not 1e-4).
std::optional<double> real_of(const std::string& word) {
  static const std::regex decimal(R"([-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?)");
  static const std::regex base60(R"([-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*)");
  static const std::regex infinity(R"([-+]?\.(inf|Inf|INF))"), undefined(R"(\.(nan|NaN|NAN))");
  constexpr size_t kLongest = 1000;  // std::regex recurses
  if (word.size() > kLongest) return std::nullopt;
  std::string text = word;
  std::erase(text, '_');
  const double sign = text.starts_with('-') ? -1 : 1;
  if (text.starts_with('-') || text.starts_with('+')) text.erase(0, 1);
  double value = 0;
  if (std::regex_match(word, undefined)) return std::nan("");
  if (std::regex_match(word, infinity)) return sign * HUGE_VAL;
  if (std::regex_match(word, decimal)) {
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (read.ec == std::errc::result_out_of_range) value = text.find("e-") == std::string::npos ? HUGE_VAL : 0;
    return sign * value;
  }
  if (!std::regex_match(word, base60)) return std::nullopt;
  for (const std::string& part : split(text, ':')) {
    double digits = 0;
    std::from_chars(part.data(), part.data() + part.size(), digits);
    value = 60 * value + digits;
  }
  return sign * value;
}

bool is_date(const std::string& word) {
  static const std::regex date(R"([0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?)");
  constexpr size_t kLongest = 64;
  return word.size() <= kLongest && std::regex_match(word, date);
}

// repr() of a text.
std::string quoted(const std::string& text) {
  const bool has_single = text.find('\'') != std::string::npos, has_double = text.find('"') != std::string::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  constexpr char kHex[] = "0123456789abcdef";
  std::string result(1, quote);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // U+0080 to U+00A0 and U+00AD are not printable; in UTF-8 they are C2 and the same byte.
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool is_latin_control = c == 0xC2 && ((next >= 0x80 && next <= 0xA0) || next == 0xAD);
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      result += cat('\\', text[i]);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      result += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (c < 0x20 || c == 0x7F || is_latin_control) {
      const unsigned char shown = is_latin_control ? next : c;
      result += cat("\\x", kHex[shown >> 4], kHex[shown & 15]);
      i += is_latin_control;
    } else {
      result += text[i];
    }
  }
  return result + quote;
}

class Printer {
 public:
  // `inside`: within a list or map, where texts are quoted.
  void print(const YamlValue& v, bool inside, int depth) {
    if (depth > kMaxDepth) v.fail("lists and maps stand in each other too deep");
    if (text_.size() > kMaxText) v.fail("the value is too long");
    const std::string& tag = v.node().Tag();
    const bool known = tag.empty() || tag == "?" || tag == "!" || (v.is_list() && tag == kTuple);
    if (!known) v.fail(cat("the tag ", tag, " is not taken; leave it out"));
    if (v.is_null()) {
      text_ += "None";
    } else if (v.is_list()) {
      print_list(v, depth);
    } else if (v.is_map()) {
      print_map(v, depth);
    } else {
      print_scalar(v, inside);
    }
  }
  const std::string& text() const { return text_; }

 private:
  void print_list(const YamlValue& v, int depth) {
    const bool tuple = v.node().Tag() == kTuple;
    const std::vector<YamlValue> items = v.list();
    text_ += tuple ? '(' : '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) text_ += ", ";
      print(items[i], true, depth + 1);
    }
    if (tuple && items.size() == 1) text_ += ',';
    text_ += tuple ? ')' : ']';
  }

  void print_map(const YamlValue& v, int depth) {
    text_ += '{';
    bool first = true;
    for (const YamlValue::Entry& e : v.map()) {
      if (!first) text_ += ", ";
      first = false;
      print(e.key, true, depth + 1);
      text_ += ": ";
      print(e.value, true, depth + 1);
    }
    text_ += '}';
  }

  void print_scalar(const YamlValue& v, bool inside) {
    const std::string& word = v.node().Scalar();
    const bool plain = v.node().Tag() != "!";
    const std::optional<double> real = plain ? real_of(word) : std::nullopt;
    if (plain && v.is_boolean()) {
      text_ += v.boolean() ? "True" : "False";
    } else if (v.is_integer()) {
      text_ += cat(v.integer(std::numeric_limits<int64_t>::min()));
    } else if (real) {
      text_ += number_text(*real);
    } else {
      if (plain && is_date(word)) v.fail(cat("YAML reads ", word, " as a date; write '", word, "' in quotes"));
      text_ += inside ? quoted(word) : word;
    }
  }

  std::string text_;
};

}  // namespace

std::string python_text(const YamlValue& value) {
  Printer printer;
  printer.print(value, false, 0);
  return printer.text();
}

}  // namespace kdef::config_keys
