// A YAML value that knows where it stands, so that every complaint about it does too. Private to the library.
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
/// Scalars are read as YAML 1.1 has it, but for numbers, which need no point: 1e-5 is one.
class Value {
 public:
  Value() = default;
  /// `source`: the file; or, for a node without places (`located` false), what to call its origin.
  Value(YAML::Node node, std::string source, std::string key, bool located = true)
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
  /// In [min, max].
  int64_t integer(int64_t min, int64_t max = std::numeric_limits<int64_t>::max()) const;
  /// Finite, in [min, max], or in [min, max) where `below`.
  double real(double min, double max, bool below = false) const;
  /// Whether it is a plain whole number.
  bool is_integer() const;
  std::string text() const;
  /// One of `names`, in any case of letters; returns it as it stands in `names`.
  std::string one_of(const std::vector<std::string>& names) const;
  std::vector<Value> list() const;
  struct Entry;
  /// In the order of the file; a key that stands there twice is refused. Null is an empty map.
  std::vector<Entry> map() const;

 private:
  bool plain() const { return node_.IsScalar() && node_.Tag() != "!"; }
  void collect(std::set<std::string>& seen, std::vector<YAML::Node>& done, std::vector<Entry>& entries) const;

  YAML::Node node_;
  std::string source_, key_;
  bool located_ = true;
};

struct Value::Entry {
  std::string name;
  Value key, value;
};

/// Parses text; syntax errors are InputErrors with their place in `source`.
Value parse_yaml(const std::string& text, const std::string& source, const std::string& key, bool located = true);
Value load_yaml_file(const std::string& path);

/// Text as a YAML scalar that reads back as the same text.
std::string yaml_text(std::string_view text);
/// The shortest text that reads back as the same number.
std::string yaml_number(double value);
std::string yaml_list(const std::vector<std::string>& scalars);

}  // namespace kdef
