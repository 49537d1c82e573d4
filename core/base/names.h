// Names: lists of them, rows of a table by name, and the known name that a misspelt one probably means.
#pragma once

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace kdef {

/// "a, b, c".
inline std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// "a, b or c".
inline std::string either(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) text += (i == 0 ? "" : i + 1 < names.size() ? ", " : " or ") + names[i];
  return text;
}

// ---- Tables: a range of rows, each with a member `name`.

/// The name of every row, in the table's order.
template <class Table>
std::vector<std::string> row_names(const Table& table) {
  std::vector<std::string> names;
  for (const auto& row : table) names.emplace_back(row.name);
  return names;
}

/// "a: what it is; b: what it is" of rows that have a `meaning`.
template <class Table>
std::string meanings(const Table& table) {
  std::string text;
  for (const auto& row : table) text += cat(text.empty() ? "" : "; ", row.name, ": ", row.meaning);
  return text;
}

/// The row with this name, or with this value of another member (`&Row::key`); null if there is none.
template <class Table, class Member>
auto find_row(const Table& table, std::string_view name, Member member) {
  const auto row =
      std::find_if(std::begin(table), std::end(table), [&](const auto& r) { return std::invoke(member, r) == name; });
  return row == std::end(table) ? nullptr : &*row;
}
template <class Table>
auto find_row(const Table& table, std::string_view name) {
  return find_row(
      table, name, [](const auto& row) -> const auto& { return row.name; });
}

// ---- Misspelt names

/// How many letters must be inserted, removed, replaced, or exchanged with their neighbour to make `b` of `a` (the
/// optimal string alignment distance); upper and lower case letters are equal.
inline size_t edit_distance(std::string_view a, std::string_view b) {
  const std::string x = lower_case(a), y = lower_case(b);
  std::vector<size_t> before, last, row(b.size() + 1);  // distances of the first i - 2, i - 1 and i letters of a
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(last, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (x[i - 1] != y[j - 1])});
      const bool exchanged = i > 1 && j > 1 && x[i - 1] == y[j - 2] && x[i - 2] == y[j - 1];
      if (exchanged) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

/// The share of words that two names have in common: shared words / all words of both. Words stand between underscores;
/// upper and lower case letters are equal.
inline double common_words(std::string_view a, std::string_view b) {
  const std::vector<std::string> x = split(lower_case(a), '_'), y = split(lower_case(b), '_');
  const auto shared = std::count_if(x.begin(), x.end(), [&](const std::string& word) {
    return !word.empty() && std::find(y.begin(), y.end(), word) != y.end();
  });
  return static_cast<double>(shared) / static_cast<double>(static_cast<int64_t>(x.size() + y.size()) - shared);
}

/// The name among `names`, which is not empty, that `name` probably means: one at an edit distance of at most 1;
/// otherwise the one with the largest share of common words (`patience` means early_stop_patience); among equal ones
/// the first at the smallest edit distance.
inline const std::string& nearest_name(std::string_view name, const std::vector<std::string>& names) {
  const auto rank = [&](const std::string& other) {
    const size_t distance = edit_distance(name, other);
    return std::pair(distance <= 1 ? -1.0 : -common_words(name, other), distance);
  };
  return *std::min_element(names.begin(), names.end(),
                           [&](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
}

/// Whether `name` may be meant for `known`: their edit distance is at most a third of the name's length (at least 1),
/// or at least `share` of their words are common.
inline bool is_near(std::string_view name, std::string_view known, double share = 0.5) {
  return edit_distance(name, known) <= std::max<size_t>(1, name.size() / 3) || common_words(name, known) >= share;
}

/// " (did you mean 'X'?)" for the nearest of `names`, if it is_near(); otherwise an empty text.
inline std::string did_you_mean(std::string_view name, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  const std::string& best = nearest_name(name, names);
  return is_near(name, best) ? " (did you mean '" + best + "'?)" : "";
}

/// Throws InputError "network 'x' is unknown (did you mean 'y'?); known: y, z".
[[noreturn]] inline void fail_unknown_name(std::string_view what, std::string_view name,
                                           const std::vector<std::string>& known) {
  throw InputError(cat(what, " '", name, "' is unknown", did_you_mean(name, known), "; known: ", joined(known)));
}

}  // namespace kdef
