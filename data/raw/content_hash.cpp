#include "data/raw/content_hash.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace kdef::data {
namespace {

constexpr uint64_t kFirst = 0x9E3779B97F4A7C15, kSecond = 0xC2B2AE3D27D4EB4F;  // odd: multiplying loses nothing

uint64_t mixed(uint64_t x) {
  x = (x ^ x >> 32) * kFirst;
  x = (x ^ x >> 29) * kSecond;
  return x ^ x >> 32;
}

}  // namespace

// A step of a lane is one-to-one in the word and in the lane: a single changed word always changes the hash.
void ContentHash::block(const char* p) {
  for (size_t i = 0; i < kLanes; ++i) {
    uint64_t word;
    std::memcpy(&word, p + 8 * i, 8);
    lanes_[i] = std::rotl(lanes_[i] + word * kSecond, 31) * kFirst;
  }
}

void ContentHash::update(const char* bytes, size_t count) {
  size_t filled = count_ % kBlock;
  count_ += count;
  if (filled > 0) {
    const size_t n = std::min(count, kBlock - filled);
    std::memcpy(rest_.data() + filled, bytes, n);
    bytes += n;
    count -= n;
    if (filled + n < kBlock) return;
    block(rest_.data());
  }
  for (; count >= kBlock; bytes += kBlock, count -= kBlock) block(bytes);
  if (count > 0) std::memcpy(rest_.data(), bytes, count);
}

std::string ContentHash::text() const {
  ContentHash last = *this;
  const size_t filled = count_ % kBlock;
  std::fill(last.rest_.begin() + static_cast<std::ptrdiff_t>(filled), last.rest_.end(), '\0');
  last.block(last.rest_.data());
  uint64_t low = mixed(count_), high = mixed(count_ + kFirst);
  for (size_t i = 0; i < kLanes; ++i) {
    low = mixed(low ^ last.lanes_[i]);
    high = mixed(high + std::rotl(last.lanes_[i], 17));
  }
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (const uint64_t half : {high, low}) {
    for (int shift = 60; shift >= 0; shift -= 4) text += kHex[half >> shift & 15];
  }
  return text;
}

}  // namespace kdef::data
