#include "data/raw/cells.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>
#include <system_error>

#include "core/base/error.h"
#include "data/raw/cell_numbers.h"

namespace kdef::data {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (text.size() > 1 && text.front() == '+' && text[1] != '-') text.remove_prefix(1);
  return text;
}

template <class Number>
bool parse_whole(std::string_view text, Number& value) {
  return read_number(text, value);
}

// The decimal number that `text` is, digit by digit.
struct Decimal {
  bool negative = false;
  std::string digits;    // of the integer part and the fraction, without leading zeros; empty: the number is 0
  int64_t exponent = 0;  // the number is 0.DIGITS * 10^exponent

  // Nothing if the text is no decimal number.
  static std::optional<Decimal> read(std::string_view text) {
    Decimal number;
    size_t at = 0;
    if (at < text.size() && text[at] == '-') number.negative = true, ++at;
    bool any = false, point = false;
    for (; at < text.size() && (is_digit(text[at]) || (text[at] == '.' && !point)); ++at) {
      if (text[at] == '.') {
        point = true;
        continue;
      }
      any = true;
      if (!number.digits.empty() || text[at] != '0') {
        number.digits += text[at];
        number.exponent += !point;
      } else {
        number.exponent -= point;
      }
    }
    if (!any) return std::nullopt;
    if (at < text.size()) {
      if (text[at] != 'e' && text[at] != 'E') return std::nullopt;
      std::string_view power = text.substr(at + 1);
      if (power.size() > 1 && power[0] == '+' && is_digit(power[1])) power.remove_prefix(1);
      const bool down = !power.empty() && power[0] == '-';
      if (down) power.remove_prefix(1);
      if (power.empty() || !std::all_of(power.begin(), power.end(), is_digit)) return std::nullopt;
      int64_t size = 0;
      for (const char c : power) size = std::min<int64_t>(kFar, 10 * size + (c - '0'));
      number.exponent += down ? -size : size;
    }
    while (!number.digits.empty() && number.digits.back() == '0') number.digits.pop_back();
    return number;
  }

 private:
  static constexpr int64_t kFar = int64_t{1} << 40;  // longer than any text: the exponent cannot overflow
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
};

enum class Parsed { number, too_large, text };

// Decimal numbers only: "nan" and "inf" are text here. What is smaller than every fp64 number is 0.
Parsed parse_number(std::string_view text, double& value) {
  text = trimmed(text);
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ptr != text.data() + text.size()) return Parsed::text;
  if (read.ec == std::errc()) return std::isfinite(value) ? Parsed::number : Parsed::text;
  const std::optional<Decimal> number = read.ec == std::errc::result_out_of_range ? Decimal::read(text) : std::nullopt;
  if (!number) return Parsed::text;
  if (!number->digits.empty() && number->exponent > 0) return Parsed::too_large;
  value = 0;
  return Parsed::number;
}

enum class Whole { fits, too_large, no };

// An integer of 64 bits, with a sign or without, in any decimal form (01, 1.0, 1e3): its digits.
Whole format_integer(std::string_view text, CellReader::Scratch& scratch, std::string_view& word) {
  text = trimmed(text);
  const auto give = [&](auto value) {
    const auto end = std::to_chars(scratch.data(), scratch.data() + scratch.size(), value).ptr;
    word = {scratch.data(), static_cast<size_t>(end - scratch.data())};
    return Whole::fits;
  };
  int64_t value;
  if (parse_whole(text, value)) return give(value);
  const std::optional<Decimal> number = Decimal::read(text);
  if (!number) return Whole::no;
  if (number->digits.empty()) return give(0);
  if (number->exponent < static_cast<int64_t>(number->digits.size())) return Whole::no;
  if (number->exponent > 20) return Whole::too_large;
  const std::string digits =
      number->digits + std::string(static_cast<size_t>(number->exponent) - number->digits.size(), '0');
  uint64_t magnitude;
  if (!parse_whole(digits, magnitude)) return Whole::too_large;
  if (!number->negative) return give(magnitude);
  if (magnitude > uint64_t{1} << 63) return Whole::too_large;
  return give(static_cast<int64_t>(0 - magnitude));
}

std::string_view format(double value, CellReader::Scratch& scratch) {
  if (value == 0) value = 0;  // -0
  // Integers have no exponent, so that dtype float and dtype int give the same word.
  const auto end = std::abs(value) < 9e18 && value == std::trunc(value)
                       ? std::to_chars(scratch.data(), scratch.data() + scratch.size(), static_cast<int64_t>(value))
                       : std::to_chars(scratch.data(), scratch.data() + scratch.size(), value);
  return {scratch.data(), static_cast<size_t>(end.ptr - scratch.data())};
}

std::string_view age_bucket(double age) {
  if (age < 1 || age > 95) return "";
  constexpr std::string_view kBuckets[] = {"1", "2", "3", "4", "5", "6", "7"};
  return kBuckets[age <= 60 ? static_cast<size_t>(std::ceil(age / 10)) - 1 : 6];
}

bool is_calendar(Preprocess preprocess) {
  return preprocess == Preprocess::convert_hour || preprocess == Preprocess::convert_weekday ||
         preprocess == Preprocess::convert_weekend;
}

[[noreturn]] void bad_cell(std::string_view cell, const FieldConfig& field, const Place& place,
                           const std::string& why) {
  throw InputError(cat(place.file, ":", place.line, ": column ", field.name, ": ", printable(cell), why));
}

// What to do about a cell that cannot be read as a number. A field without a place in a configuration file is that of a
// trained model: its settings cannot be changed any more.
std::string as_text(const FieldConfig& field) {
  if (field.where.empty()) return "";
  return field.type == FieldType::numeric ? ", or set the column's type to categorical and its dtype to str"
                                          : ", or set the column's dtype to str";
}

[[noreturn]] void not_a_number(std::string_view cell, const FieldConfig& field, const Place& place) {
  bad_cell(cell, field, place,
           cat(field.cell == CellType::integer ? " is not an integer" : " is not a number", "; correct the cell",
               field.where.empty() ? ""
                                   : "; or, if it stands for a missing value, give the column a fill_na and list it in "
                                     "na_values",
               as_text(field)));
}

[[noreturn]] void beyond_64_bits(std::string_view cell, const FieldConfig& field, const Place& place) {
  bad_cell(cell, field, place, cat(" is an integer of more than 64 bits; correct the cell", as_text(field)));
}

[[noreturn]] void beyond_fp64(std::string_view cell, const FieldConfig& field, const Place& place) {
  bad_cell(cell, field, place, cat(" is larger than every fp64 number (1.8e308); correct the cell", as_text(field)));
}

}  // namespace

std::optional<double> cell_number(std::string_view cell) {
  double value;
  return parse_number(cell, value) == Parsed::number ? std::optional(value) : std::nullopt;
}

const std::vector<std::string>& missing_numbers() {
  static const std::vector<std::string> markers = {"NaN", "nan",  "-nan", "-NaN", "NULL",     "null", "NA", "N/A",
                                                   "n/a", "#N/A", "<NA>", "None", "#N/A N/A", "#NA",  "\\N"};
  return markers;
}

std::string printable(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "'";
  for (char c : text.substr(0, 40)) {
    if (c >= ' ' && c <= '~') {
      out += c;
    } else {
      const unsigned char u = static_cast<unsigned char>(c);
      out += {'\\', 'x', kHex[u >> 4], kHex[u & 15]};
    }
  }
  return out + (text.size() > 40 ? "...'" : "'");
}

int64_t bucket(double v) {
  if (v > 2) {
    const double l = std::log(v);
    return static_cast<int64_t>(std::floor(l * l));
  }
  return v < -9e18 ? INT64_MIN : static_cast<int64_t>(v);
}

[[noreturn]] static void not_a_label(std::string_view cell, const DatasetConfig& config, const Place& place) {
  const bool click = config.label_kind == LabelKind::click && !config.label_threshold;
  const char* problem =
      cell.empty() ? "the cell is empty; leave the row out, or score such rows with kdef predict"
      : click      ? " is not 0 or 1; correct the row, or say in label_col which values are clicks: "
                     "positive: [VALUE, ..], or threshold: NUMBER"
      : config.label_whole
          ? " is not a whole number of at most 3.4e38 (fp32); correct the row, or say dtype: float in label_col"
          : " is not a number of at most 3.4e38 (fp32); correct the row or leave it out";
  throw InputError(cat(place.file, ":", place.line, ": label column ", config.label, ": ",
                       cell.empty() ? "" : printable(cell), problem));
}

// The label that a number is; nothing where it is none.
static std::optional<float> label_of(double value, const DatasetConfig& config) {
  if (!std::isfinite(static_cast<float>(value))) return std::nullopt;
  if (config.label_whole && value != std::trunc(value)) return std::nullopt;
  if (config.label_threshold) return static_cast<float>(value > *config.label_threshold);
  if (config.label_kind == LabelKind::click && value != 0 && value != 1) return std::nullopt;
  return static_cast<float>(value);
}

float parse_label(std::string_view cell, const DatasetConfig& config, const Place& place) {
  if (!config.label_positive.empty()) {
    if (cell.empty()) not_a_label(cell, config, place);
    return std::find(config.label_positive.begin(), config.label_positive.end(), cell) != config.label_positive.end();
  }
  if (!config.label_threshold && cell.size() == 1 && (cell[0] == '0' || cell[0] == '1')) {
    return static_cast<float>(cell[0] - '0');
  }
  double value;
  const bool number = parse_number(cell, value) == Parsed::number;
  const std::optional<float> label = number ? label_of(value, config) : std::nullopt;
  if (!label) not_a_label(cell, config, place);
  return *label;
}

float parse_label(const TypedColumn& column, int64_t i, const DatasetConfig& config, const Place& place) {
  Values::Scratch scratch;
  if (column.is_missing(i) || column.values->is_text()) return parse_label(column.cell(i, scratch), config, place);
  const double value = column.values->number(static_cast<size_t>(column.place(i)));
  if (!config.label_positive.empty()) {
    return std::any_of(config.label_positive.begin(), config.label_positive.end(), [&](const std::string& positive) {
      double click;
      return parse_number(positive, click) == Parsed::number && value == click;
    });
  }
  const std::optional<float> label = label_of(value, config);
  if (!label) not_a_label(column.cell(i, scratch), config, place);
  return *label;
}

static float weight_of(bool number, double value, std::string_view cell, const std::string& column,
                       const Place& place) {
  if (!number || !(value >= 0) || !std::isfinite(static_cast<float>(value))) {
    throw InputError(cat(place.file, ":", place.line, ": weight column ", column, ": ", printable(cell),
                         " is not a number from 0 to 3.4e38 (fp32); correct the row or leave it out"));
  }
  return static_cast<float>(value);
}

float parse_weight(std::string_view cell, const std::string& column, const Place& place) {
  double value;
  const bool number = parse_number(cell, value) == Parsed::number;
  return weight_of(number, value, cell, column, place);
}

float parse_weight(const TypedColumn& column, int64_t i, const std::string& name, const Place& place) {
  Values::Scratch scratch;
  if (column.is_missing(i) || column.values->is_text()) return parse_weight(column.cell(i, scratch), name, place);
  const double value = column.values->number(static_cast<size_t>(column.place(i)));
  if (value >= 0 && std::isfinite(static_cast<float>(value))) return static_cast<float>(value);
  return weight_of(false, value, column.cell(i, scratch), name, place);
}

CellReader::CellReader(const FieldConfig& field)
    : field_(field), missing_(field.fill_na.value_or("")), filler_(field.fill_na) {
  const std::string where = cat(field.where.empty() ? "" : field.where + ": ", "field ", field.name, ": ");
  const bool number = field.type == FieldType::numeric || field.cell != CellType::str;
  if (field.type == FieldType::numeric && field.cell == CellType::str) field_.cell = CellType::real;
  if (field.type == FieldType::sequence) {
    if (field.cell != CellType::str) throw InputError(where + "a sequence needs dtype str");
    if (field.splitter.empty()) throw InputError(where + "a sequence needs a splitter, for example '^'");
    if (field.max_len < 0) throw InputError(cat(where, "max_len is ", field.max_len, "; it must be at least 1"));
    if (field.preprocess != Preprocess::none) throw InputError(where + "a sequence takes no preprocess");
    if (field.pooling == Pooling::none) {
      throw InputError(where + "a sequence must be pooled; set feature_encoder to layers.MaskedAveragePooling()");
    }
  }
  if (!filler_ && field.fill_by_type && number) filler_ = "0";
  if (field.preprocess == Preprocess::convert_to_bucket && !number) {
    throw InputError(where + "convert_to_bucket works on numbers; set dtype to float or int");
  }
  if ((field.preprocess == Preprocess::extract_country_code || field.preprocess == Preprocess::bucketize_age) &&
      number) {
    throw InputError(where + "this preprocess gives text; set dtype to str and type to categorical");
  }
  if (number && field.fill_na) {
    double value;
    if (parse_number(*field.fill_na, value) != Parsed::number) {
      throw InputError(cat(where, "fill_na is ", printable(*field.fill_na), "; a number is expected for this dtype"));
    }
    Scratch scratch;
    std::string_view whole;
    const bool exact = format_integer(*field.fill_na, scratch, whole) == Whole::fits;
    missing_ = std::string(exact ? whole : format(value, scratch));
  }
  if (field.na_values) na_values_ = *field.na_values;
  if (!field.na_values && field.fill_na && number) na_values_ = missing_numbers();
  for (const std::string& marker : na_values_) {
    double value;
    if (parse_number(marker, value) == Parsed::number) na_numbers_.push_back(value);
  }
}

std::string_view CellReader::filled(std::string_view cell, const Place& place) const {
  if (!is_missing(cell)) return cell;
  if (filler_) return *filler_;
  throw InputError(cat(place.file, ":", place.line, ": column ", field_.name, ": the cell is ",
                       cell.empty() ? "empty" : cat(printable(cell), ", a missing value (na_values)"),
                       field_.where.empty() ? "; the model has no fill_na for this column: write a value into the cell"
                                            : "; give the field a fill_na (for example fill_na: 0)",
                       as_text(field_)));
}

// Of a time YYMMDDHH.
int64_t CellReader::calendar(std::string_view cell, const Place& place) const {
  const auto two_digits = [&](size_t at) {
    unsigned value = 0;
    if (cell.size() < at + 2 || !parse_whole(cell.substr(at, 2), value)) {
      bad_cell(cell, field_, place, " is no time YYMMDDHH, such as 14102118 for 18 h on 2014-10-21; correct the cell");
    }
    return value;
  };
  if (field_.preprocess == Preprocess::convert_hour) return two_digits(6);
  using namespace std::chrono;
  const year_month_day date(year(2000 + static_cast<int>(two_digits(0))), month(two_digits(2)), day(two_digits(4)));
  if (!date.ok()) bad_cell(cell, field_, place, " begins with no date YYMMDD; correct the cell");
  const unsigned day_of_week = weekday(sys_days(date)).c_encoding();
  return field_.preprocess == Preprocess::convert_weekday ? day_of_week : day_of_week == 0 || day_of_week == 6;
}

double CellReader::number(std::string_view cell, const Place& place) const {
  double value;
  const bool made_without_source = field_.is_made() && is_missing(cell);
  const Preprocess preprocess = made_without_source ? Preprocess::none : field_.preprocess;
  if (is_calendar(preprocess)) return static_cast<double>(calendar(filled(cell, place), place));
  const Parsed parsed = parse_number(filled(cell, place), value);
  if (parsed == Parsed::too_large) beyond_fp64(cell, field_, place);
  if (parsed == Parsed::text) not_a_number(cell, field_, place);
  if (preprocess == Preprocess::convert_to_bucket) return static_cast<double>(bucket(value));
  if (field_.cell == CellType::integer && value != std::trunc(value)) not_a_number(cell, field_, place);
  return value;
}

double CellReader::number(const TypedColumn& column, int64_t i, const Place& place) const {
  Scratch scratch;
  if (column.is_missing(i)) return number(std::string_view(), place);
  const size_t at = static_cast<size_t>(column.place(i));
  if (column.values->is_text() || is_calendar(field_.preprocess))
    return number(column.values->cell(at, scratch), place);
  const double value = column.values->number(at);
  if (std::find(na_numbers_.begin(), na_numbers_.end(), value) != na_numbers_.end()) return number("", place);
  if (!std::isfinite(value)) not_a_number(column.values->cell(at, scratch), field_, place);
  if (field_.preprocess == Preprocess::convert_to_bucket) return static_cast<double>(bucket(value));
  if (field_.cell == CellType::integer && value != std::trunc(value)) {
    not_a_number(column.values->cell(at, scratch), field_, place);
  }
  return value;
}

int32_t CellReader::id(std::string_view cell, const Place& place) const {
  Scratch scratch;
  std::string_view digits;
  int64_t number = -1;
  const bool whole = format_integer(filled(cell, place), scratch, digits) == Whole::fits && parse_whole(digits, number);
  if (!whole || !is_id(number)) not_an_id(cell, place);
  return static_cast<int32_t>(number);
}

int32_t CellReader::id(const TypedColumn& column, int64_t i, const Place& place) const {
  const Values& values = *column.values;
  const size_t at = static_cast<size_t>(column.place(i));
  if (!column.is_missing(i) && values.kind == Values::Kind::integer && is_id(values.integers[at])) {
    return static_cast<int32_t>(values.integers[at]);
  }
  Scratch scratch;
  return id(column.cell(i, scratch), place);
}

void CellReader::not_an_id(std::string_view cell, const Place& place) const {
  bad_cell(cell, field_, place,
           cat(" is not an id: an integer from 0 to ", field_.id_count > 0 ? field_.id_count - 1 : kMaxId,
               field_.where.empty()
                   ? "; correct the cell"
                   : "; correct the cell, or vocab_size; or set rebuild_dataset: true and remap: true, if ids are "
                     "to be made"));
}

void CellReader::too_large(double number, bool unscaled, const Place& place) const {
  throw InputError(
      cat(place.file, ":", place.line, ": column ", field_.name, ": ", shortest(number),
          unscaled ? " is too large for fp32 (up to 3.4e38); correct the cell, or give the column a normalizer"
                   : " is too far from the training rows: once scaled, it is too large for fp32 (up to 3.4e38); "
                     "correct the cell"));
}

std::string_view CellReader::word(std::string_view cell, const Place& place, Scratch& scratch) const {
  if (field_.cell == CellType::str) {
    if (field_.is_made() && is_missing(cell)) return missing_;
    cell = verbatim_word(cell);
    switch (field_.preprocess) {
      case Preprocess::convert_hour:
      case Preprocess::convert_weekday:
      case Preprocess::convert_weekend:
        return format(static_cast<double>(calendar(cell, place)), scratch);
      case Preprocess::extract_country_code:
        return cell.substr(0, 2);
      case Preprocess::bucketize_age: {
        double age;
        if (cell.empty()) return cell;
        if (parse_number(cell, age) != Parsed::number) not_a_number(cell, field_, place);
        return age_bucket(age);
      }
      default:
        return cell;
    }
  }
  if (field_.preprocess != Preprocess::none) return format(number(cell, place), scratch);
  std::string_view word;
  if (field_.cell == CellType::integer) {
    const Whole whole = format_integer(filled(cell, place), scratch, word);
    if (whole == Whole::fits) return word;
    if (whole == Whole::too_large) beyond_64_bits(cell, field_, place);
    not_a_number(cell, field_, place);
  }
  const double value = number(cell, place);
  constexpr double kExact = int64_t{1} << 53;  // from here on, fp64 merges integers
  if (std::abs(value) >= kExact && format_integer(filled(cell, place), scratch, word) == Whole::fits) return word;
  return format(value, scratch);
}

}  // namespace kdef::data
