#include "data/raw/npy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "core/base/error.h"
#include "core/base/text.h"

namespace kdef::data {
namespace {

using namespace std::string_view_literals;
constexpr std::string_view kMagic = "\x93NUMPY"sv;
constexpr int64_t kMaxElementBytes = int64_t{1} << 20;  // of a text

// What stands behind 'KEY': in the header, which is the text of a Python dict.
std::string_view behind(std::string_view header, std::string_view key) {
  const size_t at = header.find(key);
  if (at == std::string_view::npos) return {};
  std::string_view rest = header.substr(at + key.size());
  while (!rest.empty() && (rest.front() == ' ' || rest.front() == ':')) rest.remove_prefix(1);
  return rest;
}

// (3,) or (3, 4), as a list of integers.
std::optional<std::vector<int64_t>> read_shape(std::string_view text) {
  if (text.empty() || text.front() != '(') return std::nullopt;
  const size_t end = text.find(')');
  if (end == std::string_view::npos) return std::nullopt;
  std::vector<int64_t> shape;
  for (const std::string& part : split(std::string(text.substr(1, end - 1)), ',')) {
    const size_t first = part.find_first_not_of(' ');
    if (first == std::string::npos) continue;
    int64_t size;
    if (!read_number(std::string_view(part).substr(first), size) || size < 0) return std::nullopt;
    shape.push_back(size);
  }
  return shape;
}

// '<i4': byte order, kind, bytes (of U: characters).
bool read_type(std::string_view text, NpyArray& array) {
  const char quote = text.empty() ? '\0' : text.front();
  const size_t end = text.empty() ? std::string_view::npos : text.find(quote, 1);
  if ((quote != '\'' && quote != '"') || end == std::string_view::npos || end < 4) return false;
  const std::string_view type = text.substr(1, end - 1);
  int64_t size;
  if (!read_number(type.substr(2), size) || size < 1 || size > kMaxElementBytes) return false;
  if (type[0] == '>' && size > 1) return false;
  array.element_bytes = type[1] == 'U' ? 4 * size : size;
  const auto is = [&](char kind, std::initializer_list<int64_t> sizes, NpyArray::Element element) {
    const bool found =
        type[1] == kind && (sizes.size() == 0 || std::find(sizes.begin(), sizes.end(), size) != sizes.end());
    if (found) array.element = element;
    return found;
  };
  using Element = NpyArray::Element;
  return is('b', {1}, Element::boolean) || is('i', {1, 2, 4, 8}, Element::integer) ||
         is('u', {1, 2, 4, 8}, Element::unsigned_integer) || is('f', {2, 4, 8}, Element::real) ||
         is('S', {}, Element::bytes) || is('U', {}, Element::unicode);
}

template <class T>
T load(const char* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

template <class T, class V>
void append_as(const char* elements, int64_t count, std::vector<V>& out) {
  for (int64_t i = 0; i < count; ++i) {
    out.push_back(static_cast<V>(load<T>(elements + i * static_cast<int64_t>(sizeof(T)))));
  }
}

// An IEEE 754 number of 16 bits: sign, 5 bits of exponent, 10 of fraction. Every one is a double.
double half_to_double(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double size = exponent == 31  ? (fraction == 0 ? HUGE_VAL : std::nan(""))
                      : exponent == 0 ? std::ldexp(fraction, -24)
                                      : std::ldexp(1024 + fraction, exponent - 25);
  return bits >> 15 ? -size : size;
}

void append_utf8(uint32_t c, std::string& out) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | (c >> 18 & 0x07));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace

NpyArray parse_npy(std::string_view head, const std::string& where) {
  const auto refuse = [&](const char* why) {
    return InputError(
        cat(where, ": ", why, "; save arrays of numbers or texts, [rows] or [rows, columns], by numpy.savez"));
  };
  if (head.size() < 10 || !head.starts_with(kMagic)) throw refuse("is no NumPy array");
  const bool is_first = head[6] == 1;
  const size_t prefix = is_first ? 10 : 12;
  if (head.size() < prefix) throw refuse("ends too early");
  const size_t length = is_first ? load<uint16_t>(head.data() + 8) : load<uint32_t>(head.data() + 8);
  if (length > kMaxNpyHeader - prefix || head.size() < prefix + length) throw refuse("has a header that is too long");
  const std::string_view header = head.substr(prefix, length);
  NpyArray array;
  array.header_bytes = static_cast<int64_t>(prefix + length);
  if (!read_type(behind(header, "'descr'"), array)) throw refuse("holds elements of a type that is not read");
  const auto shape = read_shape(behind(header, "'shape'"));
  if (!shape || shape->empty() || shape->size() > 2) throw refuse("has another shape");
  array.shape = *shape;
  if (array.columns() == 0) throw refuse("has rows of no elements");
  if (array.columns() > 1 && behind(header, "'fortran_order'").starts_with("True")) {
    throw refuse("is stored by columns (fortran_order)");
  }
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max() / 2;
  if (array.columns() > kLargest / array.element_bytes || array.rows() > kLargest / array.row_bytes()) {
    throw refuse("has an impossible shape");
  }
  return array;
}

Values::Kind NpyArray::kind() const {
  switch (element) {
    case Element::real:
      return element_bytes == 4 ? Values::Kind::single : Values::Kind::real;
    case Element::bytes:
    case Element::unicode:
      return Values::Kind::text;
    case Element::unsigned_integer:
      return element_bytes == 8 ? Values::Kind::unsigned_integer : Values::Kind::integer;
    case Element::boolean:
    case Element::integer:
      break;
  }
  return Values::Kind::integer;
}

void NpyArray::append(const char* elements, int64_t count, Values& values) const {
  const bool is_signed = element == Element::integer;
  if (element == Element::real && element_bytes == 2) {
    for (int64_t i = 0; i < count; ++i) values.reals.push_back(half_to_double(load<uint16_t>(elements + 2 * i)));
    return;
  }
  if (element == Element::real) {
    return element_bytes == 4 ? append_as<float>(elements, count, values.reals)
                              : append_as<double>(elements, count, values.reals);
  }
  if (element != Element::bytes && element != Element::unicode) {
    std::vector<int64_t>& out = values.integers;
    if (element_bytes == 1)
      return is_signed ? append_as<int8_t>(elements, count, out) : append_as<uint8_t>(elements, count, out);
    if (element_bytes == 2)
      return is_signed ? append_as<int16_t>(elements, count, out) : append_as<uint16_t>(elements, count, out);
    if (element_bytes == 4)
      return is_signed ? append_as<int32_t>(elements, count, out) : append_as<uint32_t>(elements, count, out);
    return append_as<int64_t>(elements, count, out);
  }
  for (int64_t i = 0; i < count; ++i) {
    const char* const begin = elements + i * element_bytes;
    if (element == Element::bytes) {
      values.bytes.append(begin, ::strnlen(begin, static_cast<size_t>(element_bytes)));
    } else {
      for (int64_t at = 0; at < element_bytes; at += 4) {
        const uint32_t c = load<uint32_t>(begin + at);
        if (c == 0) break;
        append_utf8(c, values.bytes);
      }
    }
    values.ends.push_back(values.bytes.size());
  }
}

}  // namespace kdef::data
