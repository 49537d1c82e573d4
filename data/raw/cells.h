// What a raw cell means: a word or a number, by the configuration of its field. Counting and encoding share this.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/raw/typed_column.h"
#include "data/schema.h"

namespace kdef::data {

/// Where a cell stands, for messages.
struct Place {
  const std::string& file;
  int64_t line;
};

/// Turns the cells of one field into words (categorical) or numbers (numeric). Thread-safe.
/// FuxiCTR's order: fill_na, then preprocess, then the type; where the field is made from another column, preprocess
/// and then fill_na. A word of dtype float or int is the number's shortest
/// decimal form, so that 1, 1.0 and 01 are one word; an integer of up to 64 bits keeps all its digits. A cell is
/// missing if it is empty or one of na_values.
class CellReader {
 public:
  /// Throws InputError for settings that contradict each other.
  explicit CellReader(const FieldConfig& field);

  using Scratch = Values::Scratch;
  /// The word of a categorical cell: a view of `cell`, of `scratch` or of this reader.
  /// InputError: text where a number is expected; an integer of more than 64 bits; a missing number without fill_na.
  std::string_view word(std::string_view cell, const Place& place, Scratch& scratch) const;
  /// The number of a numeric cell in fp64, before it is scaled.
  double number(std::string_view cell, const Place& place) const;
  /// The same of value i of a typed column.
  double number(const TypedColumn& column, int64_t i, const Place& place) const;
  /// The id in a cell of a field that has ids, at most kMaxId and below id_count where that is known. InputError for
  /// anything else.
  int32_t id(std::string_view cell, const Place& place) const;
  int32_t id(const TypedColumn& column, int64_t i, const Place& place) const;
  static constexpr int64_t kMaxId = (int64_t{1} << 31) - 4;
  /// Whether the number of a cell is what a typed column holds, where that is finite.
  bool takes_numbers() const {
    return field_.preprocess == Preprocess::none && field_.cell == CellType::real && na_numbers_.empty();
  }
  /// Whether an integer is an id of this field.
  bool is_id(int64_t number) const {
    return number >= 0 && number <= (field_.id_count > 0 ? field_.id_count - 1 : kMaxId);
  }
  /// What the number becomes in fp32: (number - shift) * scale, rounded once. InputError where fp32 cannot hold it.
  float scaled(double number, double shift, double scale, const Place& place) const {
    const float value = static_cast<float>((number - shift) * scale);
    if (!(std::abs(value) <= std::numeric_limits<float>::max())) too_large(number, shift == 0 && scale == 1, place);
    return value;
  }
  /// Calls fn(token, is_padding) for every token of a sequence. fill_na is padding, and so is an empty token without
  /// fill_na; an empty cell has one token.
  template <class Fn>
  void tokens(std::string_view cell, Fn&& fn) const {
    if (is_missing(cell)) cell = missing_;
    for (;;) {
      const size_t at = cell.find(field_.splitter);
      const std::string_view token = cell.substr(0, at);
      fn(token, token == missing_);
      if (at == std::string_view::npos) return;
      cell.remove_prefix(at + field_.splitter.size());
    }
  }
  /// Whether an element of a list is padding: it is fill_na or missing.
  bool is_padding(std::string_view element) const { return element.empty() || element == missing_; }
  /// True where word() gives what verbatim_word() gives.
  bool verbatim() const { return field_.cell == CellType::str && field_.preprocess == Preprocess::none; }
  /// The cell itself, or missing() for a missing cell.
  std::string_view verbatim_word(std::string_view cell) const { return is_missing(cell) ? missing_ : cell; }
  /// The word that is never in the vocabulary: fill_na in the form of word(), '' without it.
  const std::string& missing() const { return missing_; }
  const FieldConfig& field() const { return field_; }

 private:
  bool is_missing(std::string_view cell) const {
    return cell.empty() ||
           (!na_values_.empty() && std::find(na_values_.begin(), na_values_.end(), cell) != na_values_.end());
  }
  [[noreturn]] void too_large(double number, bool unscaled, const Place& place) const;
  [[noreturn]] void not_an_id(std::string_view cell, const Place& place) const;
  int64_t calendar(std::string_view cell, const Place& place) const;
  std::string_view filled(std::string_view cell, const Place& place) const;

  FieldConfig field_;
  std::string missing_;
  std::optional<std::string> filler_;  // of a missing cell, where the column's type has one
  std::vector<std::string> na_values_;
  std::vector<double> na_numbers_;  // those that are numbers
};

/// The label in a cell: a decimal number, which must be 0 or 1 where the labels are clicks and the data set has neither
/// label_positive nor label_threshold. InputError for anything else, and for an empty cell.
float parse_label(std::string_view cell, const DatasetConfig& config, const Place& place);
float parse_label(const TypedColumn& column, int64_t i, const DatasetConfig& config, const Place& place);
/// The weight in a cell: a finite decimal number that is not negative. InputError for anything else.
float parse_weight(std::string_view cell, const std::string& column, const Place& place);
float parse_weight(const TypedColumn& column, int64_t i, const std::string& name, const Place& place);

/// Criteo's bucket: v > 2 becomes floor(ln(v)^2), otherwise v truncated to an integer.
int64_t bucket(double v);

/// A cell's text for a message: quoted, at most 40 bytes, control and non-ASCII bytes as \xNN.
std::string printable(std::string_view text);

}  // namespace kdef::data
