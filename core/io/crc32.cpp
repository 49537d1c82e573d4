#include "core/io/crc32.h"

#include <array>
#include <cstring>

#include "core/io/file.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace kdef {
namespace crc {
namespace {

constexpr uint32_t kPolynomial = 0xEDB88320u;  // its bits are reflected: the highest one is that of x^0

// Tables of the polynomial; eight bytes a step ("slicing by 8", Kounavis, Berry 2005).
const auto kTables = [] {
  std::array<std::array<uint32_t, 256>, 8> t{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = c & 1 ? kPolynomial ^ (c >> 1) : c >> 1;
    t[0][i] = c;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t i = 0; i < 256; ++i) t[k][i] = t[0][t[k - 1][i] & 0xFF] ^ (t[k - 1][i] >> 8);
  }
  return t;
}();

}  // namespace

uint32_t by_tables(const unsigned char* p, size_t bytes, uint32_t before) {
  uint32_t c = ~before;
  for (; bytes >= 8; bytes -= 8, p += 8) {
    uint32_t low = 0, high = 0;
    std::memcpy(&low, p, 4);
    std::memcpy(&high, p + 4, 4);
    low ^= c;
    c = kTables[7][low & 0xFF] ^ kTables[6][(low >> 8) & 0xFF] ^ kTables[5][(low >> 16) & 0xFF] ^
        kTables[4][low >> 24] ^ kTables[3][high & 0xFF] ^ kTables[2][(high >> 8) & 0xFF] ^
        kTables[1][(high >> 16) & 0xFF] ^ kTables[0][high >> 24];
  }
  for (; bytes > 0; --bytes, ++p) c = kTables[0][(c ^ *p) & 0xFF] ^ (c >> 8);
  return ~c;
}

#if defined(__x86_64__)

namespace {

// x^n modulo the polynomial, for a factor of pclmulqdq: a product of reflected numbers stands one bit too low.
constexpr uint64_t power_of_x(int n) {
  uint32_t c = 0x80000000u;
  for (; n > 0; --n) c = c & 1 ? kPolynomial ^ (c >> 1) : c >> 1;
  return uint64_t{c} << 1;
}

#define KDEF_CLMUL __attribute__((target("sse2,pclmul")))

// a x^distance + b, modulo the polynomial: each half of `a` times the power of x that moves it over `b`.
KDEF_CLMUL __m128i folded(__m128i a, __m128i b, __m128i powers) {
  const __m128i low = _mm_clmulepi64_si128(a, powers, 0x00), high = _mm_clmulepi64_si128(a, powers, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), b);
}

KDEF_CLMUL __m128i powers_for(uint64_t low, uint64_t high) {
  return _mm_set_epi64x(static_cast<int64_t>(high), static_cast<int64_t>(low));
}

KDEF_CLMUL __m128i loaded(const unsigned char* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

}  // namespace

bool has_multiplication() { return __builtin_cpu_supports("pclmul"); }

// Gopal et al., "Fast CRC computation for generic polynomials using PCLMULQDQ" (Intel, 2009): the text is folded into
// 16 bytes that have its remainder, four lanes of 16 bytes side by side. The remainder of those is found by tables.
KDEF_CLMUL uint32_t by_multiplication(const unsigned char* p, size_t bytes, uint32_t before) {
  if (bytes < 64) return by_tables(p, bytes, before);
  constexpr uint64_t kFar[2] = {power_of_x(4 * 128 + 32), power_of_x(4 * 128 - 32)};
  constexpr uint64_t kNear[2] = {power_of_x(128 + 32), power_of_x(128 - 32)};
  const __m128i far = powers_for(kFar[0], kFar[1]), near = powers_for(kNear[0], kNear[1]);
  __m128i lanes[4];
  for (int i = 0; i < 4; ++i) lanes[i] = loaded(p + 16 * i);
  lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128(static_cast<int>(~before)));
  for (bytes -= 64, p += 64; bytes >= 64; bytes -= 64, p += 64) {
    for (int i = 0; i < 4; ++i) lanes[i] = folded(lanes[i], loaded(p + 16 * i), far);
  }
  __m128i all = lanes[0];
  for (int i = 1; i < 4; ++i) all = folded(all, lanes[i], near);
  for (; bytes >= 16; bytes -= 16, p += 16) all = folded(all, loaded(p), near);
  unsigned char rest[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(rest), all);
  return by_tables(p, bytes, by_tables(rest, sizeof(rest), ~uint32_t{0}));
}

#undef KDEF_CLMUL

#else

bool has_multiplication() { return false; }
uint32_t by_multiplication(const unsigned char* p, size_t bytes, uint32_t before) {
  return by_tables(p, bytes, before);
}

#endif

}  // namespace crc

uint32_t crc32(const void* data, size_t bytes, uint32_t before) {
  static const auto best = crc::has_multiplication() ? crc::by_multiplication : crc::by_tables;
  return best(static_cast<const unsigned char*>(data), bytes, before);
}

}  // namespace kdef
