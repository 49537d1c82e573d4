#include "core/base/text.h"

#include <algorithm>
#include <cmath>
#include <locale>

namespace kdef {
namespace {

// Enough for every double in fixed notation: 309 digits, a sign, a point, and the decimals.
template <class... Format>
std::string written(double value, int decimals, Format... format) {
  std::string text(static_cast<size_t>(330 + std::max(decimals, 0)), '\0');
  const std::to_chars_result end = std::to_chars(text.data(), text.data() + text.size(), value, format...);
  text.resize(static_cast<size_t>(end.ptr - text.data()));
  return text;
}

}  // namespace

TextStream::TextStream() { imbue(std::locale::classic()); }

std::string shortest(double value) { return written(value, 0); }

std::string shortest(float value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string fixed_point(double value, int decimals) {
  return written(value, decimals, std::chars_format::fixed, decimals);
}

std::string significant_digits(double value, int digits) {
  return written(value, digits, std::chars_format::general, digits);
}

std::string scientific(double value, int decimals) {
  return written(value, decimals, std::chars_format::scientific, decimals);
}

std::string hexadecimal(double value) {
  std::string text = written(value, 0, std::chars_format::hex);
  if (std::isfinite(value)) text.insert(text[0] == '-' ? 1 : 0, "0x");
  return text;
}

std::string grouped(int64_t value) {
  std::string digits = std::to_string(value);
  const int first = digits[0] == '-' ? 1 : 0;
  for (int at = static_cast<int>(digits.size()) - 3; at > first; at -= 3) digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

bool read_hexadecimal(std::string_view text, double& value) {
  std::string digits(text);
  const size_t prefix = digits.find("0x");
  if (prefix > 1 || (prefix == 1 && digits[0] != '-')) return read_number(text, value) && !std::isfinite(value);
  digits.erase(prefix, 2);
  const char* end = digits.data() + digits.size();
  const std::from_chars_result read = std::from_chars(digits.data(), end, value, std::chars_format::hex);
  return read.ec == std::errc() && read.ptr == end;
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace kdef
