// Which of the known names a misspelt name probably means.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/text.h"

namespace kdef {

/// The Levenshtein distance of two texts; upper and lower case letters are equal.
inline size_t edit_distance(std::string_view a, std::string_view b) {
  const std::string x = lower_case(a), y = lower_case(b);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (x[i - 1] != y[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

/// "; did you mean 'X'?" for the nearest of `names`, if its distance is at most a third of the name's length (at least
/// 1); otherwise an empty text.
inline std::string did_you_mean(std::string_view name, const std::vector<std::string>& names) {
  const std::string* best = nullptr;
  size_t distance = std::max<size_t>(1, name.size() / 3) + 1;
  for (const std::string& other : names) {
    const size_t d = edit_distance(name, other);
    if (d < distance) {
      distance = d;
      best = &other;
    }
  }
  return best == nullptr ? "" : "; did you mean '" + *best + "'?";
}

}  // namespace kdef
