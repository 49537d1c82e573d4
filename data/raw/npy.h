// The header of a NumPy array (.npy), and what its elements become. Format: NumPy's NEP 1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/raw/typed_column.h"

namespace kdef::data {

struct NpyArray {
  enum class Element : uint8_t { boolean, integer, unsigned_integer, real, bytes, unicode };
  Element element = Element::real;
  int64_t element_bytes = 0;   // of one element; at least 1
  std::vector<int64_t> shape;  // [rows] or [rows, columns]
  int64_t header_bytes = 0;    // up to the first element

  int64_t rows() const { return shape[0]; }
  int64_t columns() const { return shape.size() == 2 ? shape[1] : 1; }
  int64_t row_bytes() const { return columns() * element_bytes; }
  /// Appends elements to `values`, which has kind().
  void append(const char* elements, int64_t count, Values& values) const;
  Values::Kind kind() const;
};

/// The most bytes of a header that parse_npy() reads.
inline constexpr size_t kMaxNpyHeader = size_t{1} << 16;
/// The array that begins with `head`: its first kMaxNpyHeader bytes, or all. InputError "WHERE: ..." for anything that
/// is no array of one or two dimensions in C order, of numbers or texts of this machine's byte order.
NpyArray parse_npy(std::string_view head, const std::string& where);

}  // namespace kdef::data
