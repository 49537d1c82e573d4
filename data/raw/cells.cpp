#include "data/raw/cells.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>

#include "core/base/error.h"

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

// Finite decimal numbers only: "nan" and "inf" are text here.
bool parse_number(std::string_view text, double& value) {
  return parse_whole(trimmed(text), value) && std::isfinite(value);
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

[[noreturn]] void not_a_number(std::string_view cell, const FieldConfig& field, const Place& place) {
  throw InputError(cat(place.file, ":", place.line, ": column ", field.name, ": ", printable(cell),
                       field.cell == CellType::integer ? " is not an integer" : " is not a number",
                       "; correct the cell, or set the column's dtype to str"));
}

}  // namespace

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
  const char* problem = cell.empty() ? "the cell is empty; leave the row out, or score such rows with kdef predict"
                        : click      ? " is not 0 or 1; correct the row, or say in label_col which values are clicks: "
                                       "positive: [VALUE, ..], or threshold: NUMBER"
                                     : " is not a finite number; correct the row or leave it out";
  throw InputError(cat(place.file, ":", place.line, ": label column ", config.label, ": ",
                       cell.empty() ? "" : printable(cell), problem));
}

float parse_label(std::string_view cell, const DatasetConfig& config, const Place& place) {
  if (!config.label_positive.empty()) {
    if (cell.empty()) not_a_label(cell, config, place);
    return std::find(config.label_positive.begin(), config.label_positive.end(), cell) != config.label_positive.end();
  }
  const bool as_is = !config.label_threshold;
  if (as_is && cell.size() == 1 && (cell[0] == '0' || cell[0] == '1')) return static_cast<float>(cell[0] - '0');
  double value;
  const bool number = parse_number(cell, value) && std::isfinite(static_cast<float>(value));
  if (!number || (as_is && config.label_kind == LabelKind::click && value != 0 && value != 1)) {
    not_a_label(cell, config, place);
  }
  return as_is ? static_cast<float>(value) : static_cast<float>(value > *config.label_threshold);
}

float parse_weight(std::string_view cell, const std::string& column, const Place& place) {
  double value;
  if (!parse_number(cell, value) || value < 0 || !std::isfinite(static_cast<float>(value))) {
    throw InputError(cat(place.file, ":", place.line, ": weight column ", column, ": ", printable(cell),
                         " is not a finite number >= 0; correct the row or leave it out"));
  }
  return static_cast<float>(value);
}

CellReader::CellReader(const FieldConfig& field) : field_(field), missing_(field.fill_na.value_or("")) {
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
  if (field.preprocess == Preprocess::convert_to_bucket && !number) {
    throw InputError(where + "convert_to_bucket works on numbers; set dtype to float or int");
  }
  if ((field.preprocess == Preprocess::extract_country_code || field.preprocess == Preprocess::bucketize_age) &&
      number) {
    throw InputError(where + "this preprocess gives text; set dtype to str and type to categorical");
  }
  if (number && field.fill_na) {
    double value;
    if (!parse_number(*field.fill_na, value)) {
      throw InputError(cat(where, "fill_na is ", printable(*field.fill_na), "; a number is expected for this dtype"));
    }
    Scratch scratch;
    int64_t exact;
    const bool whole = field.cell == CellType::integer && parse_whole(trimmed(*field.fill_na), exact);
    missing_ = whole ? std::to_string(exact) : std::string(format(value, scratch));
  }
}

std::string_view CellReader::filled(std::string_view cell, const Place& place) const {
  if (!cell.empty()) return cell;
  if (field_.fill_na) return *field_.fill_na;
  throw InputError(cat(place.file, ":", place.line, ": column ", field_.name,
                       ": the cell is empty; give the field a fill_na (for example fill_na: 0) or dtype str"));
}

double CellReader::parse(std::string_view cell, const Place& place) const {
  double value;
  if (!parse_number(filled(cell, place), value)) not_a_number(cell, field_, place);
  if (field_.preprocess == Preprocess::convert_to_bucket) return static_cast<double>(bucket(value));
  if (field_.cell == CellType::integer && value != std::trunc(value)) not_a_number(cell, field_, place);
  return value;
}

float CellReader::number(std::string_view cell, const Place& place) const {
  const float value = static_cast<float>(parse(cell, place));
  if (!std::isfinite(value)) not_a_number(cell, field_, place);
  return value;
}

std::string_view CellReader::word(std::string_view cell, const Place& place, Scratch& scratch) const {
  if (field_.cell == CellType::str) {
    if (cell.empty()) cell = missing_;
    switch (field_.preprocess) {
      case Preprocess::extract_country_code:
        return cell.substr(0, 2);
      case Preprocess::bucketize_age: {
        double age;
        if (cell.empty()) return cell;
        if (!parse_number(cell, age)) not_a_number(cell, field_, place);
        return age_bucket(age);
      }
      default:
        return cell;
    }
  }
  if (field_.cell == CellType::integer && field_.preprocess == Preprocess::none) {
    int64_t value;  // exact beyond 2^53
    if (parse_whole(trimmed(filled(cell, place)), value)) {
      const auto end = std::to_chars(scratch.data(), scratch.data() + scratch.size(), value).ptr;
      return {scratch.data(), static_cast<size_t>(end - scratch.data())};
    }
  }
  return format(parse(cell, place), scratch);
}

}  // namespace kdef::data
