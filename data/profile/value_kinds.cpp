#include "data/profile/value_kinds.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "core/base/text.h"
#include "data/raw/cell_numbers.h"

namespace kdef::data {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool are_digits(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_digit); }

int number_of(std::string_view digits) {
  int value = -1;
  read_number(digits, value);
  return value;
}
bool within(std::string_view digits, int low, int high) {
  const int value = are_digits(digits) ? number_of(digits) : -1;
  return value >= low && value <= high;
}

bool is_date(std::string_view year, std::string_view month, std::string_view day) {
  return within(year, 1970, 2099) && within(month, 1, 12) && within(day, 1, 31);
}

bool is_hour_code(std::string_view v) {
  return v.size() == 8 && are_digits(v) && within(v.substr(2, 2), 1, 12) && within(v.substr(4, 2), 1, 31) &&
         within(v.substr(6, 2), 0, 23);
}

bool is_date_number(std::string_view v) {
  if (!are_digits(v) || (v.size() != 8 && v.size() != 10 && v.size() != 12 && v.size() != 14)) return false;
  return is_date(v.substr(0, 4), v.substr(4, 2), v.substr(6, 2)) && (v.size() < 10 || within(v.substr(8, 2), 0, 23)) &&
         (v.size() < 12 || within(v.substr(10, 2), 0, 59)) && (v.size() < 14 || within(v.substr(12, 2), 0, 60));
}

bool is_iso_date(std::string_view v) {
  return v.size() >= 10 && (v[4] == '-' || v[4] == '/') && v[7] == v[4] &&
         is_date(v.substr(0, 4), v.substr(5, 2), v.substr(8, 2)) && (v.size() == 10 || v[10] == ' ' || v[10] == 'T');
}

// 31/12/2014, 12.31.14, 1-2-2014 10:00
bool is_day_first(std::string_view v) {
  v = v.substr(0, v.find(' '));
  const size_t mark = v.find_first_of("/.-");
  if (mark == std::string_view::npos || mark > 2) return false;
  const size_t next = v.find(v[mark], mark + 1);
  if (next == std::string_view::npos || next - mark > 3) return false;
  const std::string_view year = v.substr(next + 1);
  return within(v.substr(0, mark), 1, 31) && within(v.substr(mark + 1, next - mark - 1), 1, 31) && are_digits(year) &&
         (year.size() == 2 || year.size() == 4);
}

bool is_epoch(std::string_view v) {
  constexpr int64_t k1990 = 631152000, k2100 = 4102444800;
  int64_t value = 0;
  if (!read_number(v, value)) return false;
  if (value > k2100) value /= 1000;
  return value >= k1990 && value <= k2100;
}

template <class Test>
bool all_values(const ColumnProfile& column, Test test) {
  for (int64_t v = 0; v < column.values.size(); ++v) {
    if (!test(column.values[v])) return false;
  }
  return column.values.size() > 0;
}

bool stands_for_missing(std::string_view value) {
  static const std::set<std::string, std::less<>> others = {"?",    "-",   "--",      ".",       "NONE",    "Null",
                                                            "none", "nil", "unknown", "Unknown", "UNKNOWN", "(null)"};
  const std::vector<std::string>& usual = missing_numbers();
  return std::find(usual.begin(), usual.end(), value) != usual.end() || others.contains(value);
}

}  // namespace

NumberSummary summarize_numbers(const ColumnProfile& column) {
  NumberSummary s;
  std::vector<std::pair<double, int64_t>> numbers;
  std::set<double> different;
  const std::vector<std::string>& usual = missing_numbers();
  int64_t rows = 0;
  double sum = 0;
  for (int64_t v = 0; v < column.values.size(); ++v) {
    const std::string_view value = column.values[v];
    const std::optional<double> number = cell_number(value);
    if (!number) {
      if (!stands_for_missing(value)) {
        s.text = std::string(value);
        continue;
      }
      s.markers.emplace_back(value);
      s.usual_markers &= std::find(usual.begin(), usual.end(), value) != usual.end();
      for (const auto& count : column.count) s.rows_of_markers += count[static_cast<size_t>(v)];
      continue;
    }
    s.any = true;
    s.whole &= *number == std::trunc(*number);
    const std::string_view digits = value.substr(value.starts_with('-'));
    s.zeros |= digits.size() > 1 && digits[0] == '0' && is_digit(digits[1]);
    different.insert(*number);
    const int64_t count = column.count_of(Part::train, v);
    if (count == 0) continue;
    numbers.emplace_back(*number, count);
    rows += count;
    sum += *number * static_cast<double>(count);
  }
  if (numbers.empty()) return s;
  s.plain = static_cast<int64_t>(different.size() + s.markers.size()) == column.values.size();
  s.distinct = static_cast<int64_t>(different.size());
  s.mean = sum / static_cast<double>(rows);
  std::sort(numbers.begin(), numbers.end());
  s.min = numbers.front().first;
  s.max = numbers.back().first;
  int64_t below = 0;
  for (const auto& [number, count] : numbers) {
    below += count;
    if (2 * below < rows) continue;
    s.median = number;
    break;
  }
  return s;
}

TimeKind time_kind(const ColumnProfile& column) {
  if (all_values(column, is_date_number) || all_values(column, is_iso_date)) return TimeKind::sortable;
  if (all_values(column, is_hour_code)) return TimeKind::hour_code;
  if (all_values(column, is_day_first)) return TimeKind::unsortable;
  static const std::vector<std::string> names = {"time", "timestamp", "ts", "date", "datetime", "unix", "at"};
  if (name_says(column.name, names) && all_values(column, is_epoch)) return TimeKind::sortable;
  return TimeKind::none;
}

int64_t distinct_parts(const ColumnProfile& column, size_t begin, size_t size) {
  std::set<std::string_view> parts;
  for (int64_t v = 0; v < column.values.size(); ++v) {
    if (column.count_of(Part::train, v) > 0) parts.insert(column.values[v].substr(begin, size));
  }
  return static_cast<int64_t>(parts.size());
}

ListForm list_form(const ColumnProfile& column) {
  const int64_t values = column.values.size();
  constexpr int64_t kFew = 10;  // values that tell nothing about a form
  if (values < kFew) return {};
  for (const char splitter : std::string_view("^|;, ")) {
    int64_t holding = 0, longest = 1;
    for (int64_t v = 0; v < values; ++v) {
      const std::string_view value = column.values[v];
      const int64_t marks = std::count(value.begin(), value.end(), splitter);
      holding += marks > 0;
      longest = std::max(longest, marks + 1);
    }
    if (5 * holding < values) continue;
    const int64_t most = splitter == ' ' ? values / 5 : values / 2;
    StringSet elements;
    for (int64_t v = 0; v < values && elements.size() <= most; ++v) {
      for (const std::string& element : split(std::string(column.values[v]), splitter)) elements.insert(element);
    }
    if (elements.size() <= most) return {std::string(1, splitter), longest, elements.size()};
  }
  return {};
}

bool name_says(std::string_view name, const std::vector<std::string>& words) {
  std::string word;
  const auto is_one = [&] { return std::find(words.begin(), words.end(), lower_case(word)) != words.end(); };
  bool was_small = false;
  for (const char c : name) {
    const bool capital = c >= 'A' && c <= 'Z', letter = capital || (c >= 'a' && c <= 'z') || is_digit(c);
    if (!letter || (capital && was_small)) {
      if (is_one()) return true;
      word.clear();
    }
    if (letter) word += c;
    was_small = letter && !capital;
  }
  return is_one();
}

}  // namespace kdef::data
