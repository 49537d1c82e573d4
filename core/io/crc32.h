// The ways of crc32(), which give the same number; internal to core/io/.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kdef::crc {

/// By tables. Any length.
uint32_t by_tables(const unsigned char* data, size_t bytes, uint32_t before);

/// Whether this processor multiplies polynomials (x86: pclmulqdq).
bool has_multiplication();
/// By carry-less multiplication, where has_multiplication(). Any length; tables do the last bytes, and all of a text
/// that is shorter than 64 bytes.
uint32_t by_multiplication(const unsigned char* data, size_t bytes, uint32_t before);

}  // namespace kdef::crc
