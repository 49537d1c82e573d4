#include "core/base/text.h"

#include <algorithm>
#include <cmath>
#include <locale>
#include <utility>

namespace kdef {
namespace {

// The sign of an undefined number differs between compilers and processors, so that it is not written.
struct UnsignedNan : std::num_put<char> {
  iter_type do_put(iter_type out, std::ios_base& stream, char fill, double value) const override {
    if (!std::isnan(value)) return std::num_put<char>::do_put(out, stream, fill, value);
    for (const char c : {'n', 'a', 'n'}) *out++ = c;
    return out;
  }
};

const std::locale& plain_numbers() {
  static const std::locale locale(std::locale::classic(), new UnsignedNan);
  return locale;
}

// Enough for every double in fixed notation: 309 digits, a sign, a point, and the decimals.
template <class... Format>
std::string written(double value, int decimals, Format... format) {
  if (std::isnan(value)) return "nan";
  std::string text(static_cast<size_t>(330 + std::max(decimals, 0)), '\0');
  const std::to_chars_result end = std::to_chars(text.data(), text.data() + text.size(), value, format...);
  text.resize(static_cast<size_t>(end.ptr - text.data()));
  return text;
}

}  // namespace

TextStream::TextStream() { imbue(plain_numbers()); }

std::string shortest(double value) { return written(value, 0); }

std::string shortest(float value) {
  if (std::isnan(value)) return "nan";
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

namespace {

// The code point that `text` begins with, and how many bytes it has; 0 bytes where they are no UTF-8 (Unicode 15, table
// 3-7: no overlong forms, no surrogates).
std::pair<uint32_t, size_t> code_point(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t bytes = byte(0) < 0x80 ? 1 : byte(0) < 0xC2 ? 0 : byte(0) < 0xE0 ? 2 : byte(0) < 0xF0 ? 3 : 4;
  if (bytes == 0 || bytes > text.size() || byte(0) > 0xF4) return {0, 0};
  uint32_t code = bytes == 1 ? byte(0) : byte(0) & (0x7Fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {0, 0};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[bytes] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {0, 0};
  return {code, bytes};
}

bool is_control(uint32_t code) {
  return (code < 0x20 && code != '\n' && code != '\t') || (code >= 0x7F && code < 0xA0) || code == 0x061C ||
         code == 0x200E || code == 0x200F || (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::string escape_controls(std::string_view text) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const auto [code, bytes] = code_point(text.substr(at));
    if (bytes > 0 && !is_control(code)) {
      result += text.substr(at, bytes);
    } else {
      const uint32_t shown = bytes > 0 ? code : static_cast<unsigned char>(text[at]);
      result += bytes > 1 ? "\\u" : "\\x";
      for (int shift = bytes > 1 ? 12 : 4; shift >= 0; shift -= 4) result += kDigits[shown >> shift & 0xF];
    }
    at += std::max<size_t>(bytes, 1);
  }
  return result;
}

std::string spelt_out(std::string_view name) {
  const auto is_printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (std::all_of(name.begin(), name.end(), is_printable)) return "";
  const auto digits = [](uint32_t value, int count) {
    std::string text;
    for (int i = count - 1; i >= 0; --i) text += "0123456789ABCDEF"[value >> (4 * i) & 15];
    return text;
  };
  std::string text = " (spelt";
  while (!name.empty()) {
    const size_t plain = static_cast<size_t>(std::find_if_not(name.begin(), name.end(), is_printable) - name.begin());
    if (plain > 0) {
      text += cat(" '", name.substr(0, plain), "'");
      name.remove_prefix(plain);
      continue;
    }
    const auto [code, bytes] = code_point(name);
    text += bytes == 0 ? " byte 0x" + digits(static_cast<unsigned char>(name.front()), 2)
                       : " U+" + digits(code, code > 0xFFFF ? 6 : 4);
    name.remove_prefix(std::max<size_t>(bytes, 1));
  }
  return text + ")";
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
