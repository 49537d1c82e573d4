// The bytes of a number in files whose order of bytes is fixed.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace kdef {

/// The 4 or 8 bytes of a number, the least significant one first.
template <class T>
std::string little_endian(T value) {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  const auto bits = std::bit_cast<Bits>(value);
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>(bits >> (8 * i) & 0xFF);
  return bytes;
}

}  // namespace kdef
