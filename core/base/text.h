// Text: numbers as text and back, and text taken apart. Nothing here depends on a locale, neither that of the process
// (setlocale) nor that of C++ (std::locale::global): the library is the same in every host program.
#pragma once

#include <charconv>
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace kdef {

/// A stream of text that writes numbers as C does: no grouping of digits, a decimal point.
class TextStream : public std::ostringstream {
 public:
  TextStream();
};

/// Joins its arguments, each printed by operator<<, numbers with 9 significant digits: `cat("row ", 3, " of ", path)`.
template <class... Args>
std::string cat(const Args&... args) {
  TextStream out;
  out.precision(9);
  (out << ... << args);
  return out.str();
}

// ---- Numbers as text. Infinities are "inf" and "-inf", undefined numbers "nan".

/// The shortest decimal that reads back as the same number: 0.1, 1e-05, 12345.
std::string shortest(double value);
std::string shortest(float value);
/// With `decimals` digits behind the point, as "%.*f" of C: 0.500.
std::string fixed_point(double value, int decimals);
/// With `digits` significant digits, as "%.*g" of C: 0.00123, 4.5e-09.
std::string significant_digits(double value, int digits);
/// With an exponent and `decimals` digits behind the point, as "%.*e" of C: 4.50e-09.
std::string scientific(double value, int decimals);
/// Hexadecimal, exact, as "%a" of C: 0x1.8p+1. read_hexadecimal() reads it.
std::string hexadecimal(double value);
/// A whole number with commas between groups of three digits: 12,345,678.
std::string grouped(int64_t value);

// ---- Text as numbers: true if the whole text is one number, without blanks or a plus sign.

template <class Number>
bool read_number(std::string_view text, Number& value) {
  const char* end = text.data() + text.size();
  const std::from_chars_result read = std::from_chars(text.data(), end, value);
  return read.ec == std::errc() && read.ptr == end;
}
/// Reads what hexadecimal() writes.
bool read_hexadecimal(std::string_view text, double& value);

// ---- Words

/// The letters A to Z as a to z; every other byte stays.
std::string lower_case(std::string_view text);

/// The text with escapes in place of what a terminal obeys or does not show: control characters other than "\n" and
/// "\t" (\x1b), those of Unicode (\u009b), marks that reorder a line (\u202e), and bytes that are no UTF-8 (\xff).
std::string escape_controls(std::string_view text);

/// " (spelt U+0441 'lick')" for a name with characters outside of printable ASCII, which may look like others or not be
/// seen at all; otherwise an empty text. A byte that is not UTF-8 is written as "byte 0xFF".
std::string spelt_out(std::string_view name);

/// The parts between separators: one more than there are separators, empty parts included.
std::vector<std::string> split(const std::string& text, char separator);

}  // namespace kdef
