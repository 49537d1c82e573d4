// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2,
// 3", SC 2011). A number is a pure function of (seed, stream, index): the number is the same on every device and for
// any number of threads, and a checkpoint has no state to save but the index.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "core/base/hd.h"

namespace kdef {

/// One Philox4x32-10 block: ten rounds over a 128-bit counter with a 64-bit key.
struct Philox {
  static constexpr int kRounds = 10;
  static constexpr uint64_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  static constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;  // added to the key after every round

  /// The four words of block `counter` of stream `stream` under `seed`.
  static KDEF_HD std::array<uint32_t, 4> block(uint64_t seed, uint64_t stream, uint64_t counter) {
    uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32);
    uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int i = 0; i < kRounds; ++i) {
      const uint64_t p0 = kMultiplier0 * c0, p1 = kMultiplier1 * c2;
      c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
      c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c1 = static_cast<uint32_t>(p1);
      c3 = static_cast<uint32_t>(p0);
      k0 += kWeyl0;
      k1 += kWeyl1;
    }
    return {c0, c1, c2, c3};
  }
};

/// Reads one Philox stream from its beginning, or from `position`. A copy continues by itself.
class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0, uint64_t position = 0)
      : seed_(seed), stream_(stream), position_(position) {}

  /// The next 32 random bits.
  uint32_t bits() {
    const uint64_t counter = position_ >> 2;
    if (counter != cached_) {
      block_ = Philox::block(seed_, stream_, counter);
      cached_ = counter;
    }
    return block_[position_++ & 3];
  }
  /// Uniform in [0, 1) with 32 bits.
  double uniform() { return bits() * (1.0 / 4294967296.0); }
  /// Uniform in [0, 1) with 53 bits.
  double uniform53() {
    const uint64_t hi = bits(), lo = bits();
    return static_cast<double>(((hi << 32) | lo) >> 11) * (1.0 / 9007199254740992.0);
  }
  /// Uniform integer in [0, n), without bias (Lemire's multiply and reject). n > 0.
  uint64_t below(uint64_t n) {
    for (;;) {
      const uint64_t hi = bits(), lo = bits();
      const uint64_t x = (hi << 32) | lo;
      const __uint128_t m = static_cast<__uint128_t>(x) * n;
      const uint64_t low = static_cast<uint64_t>(m);
      if (low >= n || low >= (0 - n) % n) return static_cast<uint64_t>(m >> 64);
    }
  }
  /// Standard normal (Box, Muller 1958). Every number takes two uniform ones; the second normal number is not used.
  double normal() {
    const double u = 1.0 - uniform53();  // (0, 1]
    const double v = uniform53();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586476925286766559 * v);
  }

  uint64_t position() const { return position_; }

 private:
  uint64_t seed_, stream_, position_;
  uint64_t cached_ = ~uint64_t{0};
  std::array<uint32_t, 4> block_{};
};

/// The streams in use: no two purposes share numbers. A purpose that has parts adds the index of the part.
enum : uint64_t {
  kStreamInit = uint64_t{1} << 56,     // initial values; + parameter index
  kStreamDropout = uint64_t{2} << 56,  // dropout masks; + layer index and step
  kStreamShuffle = uint64_t{3} << 56,  // row permutation; + epoch
  kStreamSynth = uint64_t{4} << 56,    // the generator of click logs
};

}  // namespace kdef
