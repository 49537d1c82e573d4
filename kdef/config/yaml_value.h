// A YAML value together with its file, line, column and key, which its error messages name. Private to kdef/config.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kdef {

/// The readers throw InputError "FILE:LINE:COLUMN: key 'KEY': expected ..., found ...".
/// Scalars are read as in YAML 1.1, that is as PyYAML reads them (0100 is octal, 64), except that a number needs no
/// decimal point: 1e-5 is a number.
class YamlValue {
 public:
  YamlValue() = default;
  /// `source`: the file. Where lines and columns mean nothing (`located` is false), a name for the origin.
  YamlValue(YAML::Node node, std::string source, std::string key, bool located = true)
      : node_(std::move(node)), source_(std::move(source)), key_(std::move(key)), located_(located) {}

  const YAML::Node& node() const { return node_; }
  const std::string& source() const { return source_; }
  const std::string& key() const { return key_; }
  /// "FILE:LINE:COLUMN".
  std::string where() const;
  [[noreturn]] void fail(std::string_view problem) const;
  [[noreturn]] void expected(std::string_view what) const;

  bool is_null() const { return node_.IsNull(); }
  bool is_scalar() const { return node_.IsScalar(); }
  bool is_list() const { return node_.IsSequence(); }
  bool is_map() const { return node_.IsMap(); }

  bool boolean() const;
  /// Whether the value is a boolean without quotes.
  bool is_boolean() const;
  /// In [min, max].
  int64_t integer(int64_t min, int64_t max = std::numeric_limits<int64_t>::max()) const;
  /// Finite, in [min, max], or in [min, max) where `below`.
  double real(double min, double max, bool below = false) const;
  /// Whether the value is an integer without quotes.
  bool is_integer() const;
  /// Whether the value is a number without quotes.
  bool is_number() const;
  /// A scalar as it is written. A whole number in a form that YAML writes otherwise (0100, 1_000, 12:30) is refused,
  /// since PyYAML reads another text; quotes make it a text.
  std::string text() const;
  /// One of `names`; upper and lower case are equal. Returns the name as it is written in `names`.
  std::string one_of(const std::vector<std::string>& names) const;
  std::vector<YamlValue> list() const;
  struct Entry;
  /// The entries in the order of the file. Null is an empty map. Throws for a key that occurs twice.
  std::vector<Entry> map() const;

 private:
  bool plain() const { return node_.IsScalar() && node_.Tag() != "!"; }
  void collect(std::set<std::string>& seen, std::vector<YAML::Node>& done, std::vector<Entry>& entries) const;

  YAML::Node node_;
  std::string source_, key_;
  bool located_ = true;
};

struct YamlValue::Entry {
  std::string name;
  YamlValue key, value;
};

/// Parses text. Throws InputError with the line and column in `source` for a syntax error.
YamlValue parse_yaml(const std::string& text, const std::string& source, const std::string& key, bool located = true);
YamlValue load_yaml_file(const std::string& path);

/// The text as a YAML scalar that reads back as the same text.
std::string yaml_text(std::string_view text);
/// The shortest text that reads back as the same number.
std::string yaml_number(double value);
std::string yaml_list(const std::vector<std::string>& scalars);

}  // namespace kdef
