// SipHash-2-4 (Aumasson, Bernstein 2012, https://www.aumasson.jp/siphash): 64 bits of a text that nobody can foretell
// who does not know the key.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace kdef {

struct SipKey {
  uint64_t k0 = 0, k1 = 0;  // the 16 bytes of the key, read as two little-endian numbers
};

inline uint64_t siphash(const SipKey& key, std::string_view text) {
  uint64_t v0 = key.k0 ^ 0x736f6d6570736575ull, v1 = key.k1 ^ 0x646f72616e646f6dull,
           v2 = key.k0 ^ 0x6c7967656e657261ull, v3 = key.k1 ^ 0x7465646279746573ull;
  const auto rounds = [&](int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1, v2 += v3;
      v1 = std::rotl(v1, 13) ^ v0, v3 = std::rotl(v3, 16) ^ v2;
      v0 = std::rotl(v0, 32);
      v2 += v1, v0 += v3;
      v1 = std::rotl(v1, 17) ^ v2, v3 = std::rotl(v3, 21) ^ v0;
      v2 = std::rotl(v2, 32);
    }
  };
  const auto absorb = [&](uint64_t word) {
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  };
  static_assert(std::endian::native == std::endian::little);
  const char* p = text.data();
  size_t left = text.size();
  for (uint64_t word; left >= 8; left -= 8, p += 8) {
    std::memcpy(&word, p, 8);
    absorb(word);
  }
  uint64_t last = static_cast<uint64_t>(text.size()) << 56;
  for (size_t i = 0; i < left; ++i) last |= uint64_t{static_cast<unsigned char>(p[i])} << (8 * i);
  absorb(last);
  v2 ^= 0xff;
  rounds(4);
  return v0 ^ v1 ^ v2 ^ v3;
}

}  // namespace kdef
