// What the values of a column are: numbers, times, lists in a text. Private to data/profile.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/profile/column_profile.h"

namespace kdef::data {

/// The numbers of a column, over the training rows.
struct NumberSummary {
  bool any = false;                  // some value is a number
  std::vector<std::string> markers;  // values that are no numbers, if all of those stand for missing ones
  std::string text;                  // a value that is neither; empty: the column is one of numbers
  bool usual_markers = true;         // all of `markers` are among missing_numbers()
  bool whole = true;                 // no number has a fraction
  bool plain = true;                 // equal numbers are equal texts: no 1.0 beside 1, no 007
  bool zeros = false;                // one begins with a 0 that its value does not have
  double min = 0, max = 0, mean = 0, median = 0;
  int64_t distinct = 0;
  int64_t rows_of_markers = 0;

  bool is_column() const { return any && text.empty(); }
  /// Distinct numbers / whole numbers in [min, max].
  double density() const { return static_cast<double>(distinct) / (max - min + 1); }
};
NumberSummary summarize_numbers(const ColumnProfile& column);

enum class TimeKind { none, hour_code, sortable, unsortable };
/// hour_code: YYMMDDHH. sortable: YYYYMMDD, with HH, HHMM or HHMMSS behind it; YYYY-MM-DD, with a time behind it; and,
/// if the name of the column says time, seconds or milliseconds since 1970. unsortable: day and month before the year.
TimeKind time_kind(const ColumnProfile& column);
/// Distinct texts at [begin, begin + size) of the values of the training rows.
int64_t distinct_parts(const ColumnProfile& column, size_t begin, size_t size);

/// A text that is a list: its separator and the elements of the longest one.
struct ListForm {
  std::string splitter;  // empty: values are no lists
  int64_t longest = 0, elements = 0;
};
/// A column is one of lists if at least a fifth of its distinct values hold one of ^ | ; , blank, and the elements
/// between are at most half as many as the values (a fifth, for a blank).
ListForm list_form(const ColumnProfile& column);

/// Whether one of the words of a name, cut at _ and at capital letters, is in `words`.
bool name_says(std::string_view name, const std::vector<std::string>& words);

}  // namespace kdef::data
