// What the tables of keys are made of: readers and writers of common types. Private to kdef/config.
#pragma once

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kdef/config/keys.h"

namespace kdef::config_keys {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();

// ---- `at` returns a reference to the member of a T: KDEF_AT(member).

#define KDEF_AT(member) \
  [](auto& t) -> auto& { return t.member; }

template <class T, class At>
Key<T> boolean_key(const char* name, At at, const char* meaning) {
  return {name, "boolean", meaning, [=](T& t, const YamlValue& v) { at(t) = v.boolean(); },
          [=](const T& t) { return std::string(at(t) ? "true" : "false"); }};
}

inline std::string integer_type(int64_t min, int64_t max) {
  return max == kLargest ? cat("integer >= ", min) : cat("integer in [", min, ", ", max, "]");
}

template <class T, class At>
Key<T> integer_key(const char* name, At at, int64_t min, const char* meaning, int64_t max = kLargest) {
  using Integer = std::remove_cvref_t<decltype(at(std::declval<T&>()))>;
  return {name, integer_type(min, max), meaning,
          [=](T& t, const YamlValue& v) { at(t) = static_cast<Integer>(v.integer(min, max)); },
          [=](const T& t) { return cat(at(t)); }};
}

template <class T, class At>
Key<T> text_key(const char* name, At at, const char* meaning, const char* type = "text") {
  return {name, type, meaning, [=](T& t, const YamlValue& v) { at(t) = v.is_null() ? "" : v.text(); },
          [=](const T& t) { return yaml_text(at(t)); }};
}

template <class Enum>
struct Choice {
  const char* name;
  Enum value;
};

template <class Enum>
Enum read_choice(const std::vector<Choice<Enum>>& choices, const YamlValue& v) {
  const std::string name = v.one_of(row_names(choices));
  return std::find_if(choices.begin(), choices.end(), [&](const auto& c) { return c.name == name; })->value;
}

template <class Enum>
std::string write_choice(const std::vector<Choice<Enum>>& choices, Enum value) {
  return std::find_if(choices.begin(), choices.end(), [&](const auto& c) { return c.value == value; })->name;
}

template <class T, class At, class Enum>
Key<T> choice_key(const char* name, At at, const std::vector<Choice<Enum>>& choices, const char* meaning) {
  return {name, joined(row_names(choices)), meaning, [=](T& t, const YamlValue& v) { at(t) = read_choice(choices, v); },
          [=](const T& t) { return write_choice(choices, at(t)); }};
}

template <class V, class Write>
std::string write_list(const std::vector<V>& values, Write write) {
  std::vector<std::string> scalars;
  for (const V& value : values) scalars.push_back(write(value));
  return yaml_list(scalars);
}

// ---- Enumerations as they are written.

// The rows of a table; `value` is their member of type Enum.
template <class Table, class Row, class Enum>
std::vector<Choice<Enum>> choices_of(const Table& table, Enum Row::*value) {
  std::vector<Choice<Enum>> choices;
  for (const Row& row : table) choices.push_back({row.name, row.*value});
  return choices;
}

// As a flow map, without the keys whose value is the default.
template <class T>
std::string write_map(const std::vector<Key<T>>& keys, const T& value, const std::set<std::string>& always) {
  const T standard{};
  std::string text;
  for (const auto& key : keys) {
    if (!key.write || !key.resolved) continue;
    const std::string written = key.write(value);
    if (written.empty()) continue;  // the network does not have the key
    if (always.count(key.name) == 0 && written == key.write(standard)) continue;
    text += cat(text.empty() ? "" : ", ", key.name, ": ", written);
  }
  return "{" + text + "}";
}

}  // namespace kdef::config_keys
