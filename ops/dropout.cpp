#include "ops/dropout.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <cstring>

#include "core/base/parallel.h"
#include "core/tensor/launch.h"

namespace kdef::ops {

const OpInfo kDropoutInfo{"dropout", "y = x keep / (1 - p)", "dx = dy keep / (1 - p)"};

namespace cpu {

namespace {

using Lanes [[gnu::vector_size(64)]] = uint64_t;
constexpr uint64_t kLanes = 8, kLow = 0xFFFFFFFFu;

// p = the lower halves of the lanes of a times a 32-bit number, in 64 bits.
void multiply_low(const Lanes& a, uint64_t factor, Lanes& p) {
#if defined(__AVX512F__)
  // For the line below, the compiler chooses multiplication of 64-bit numbers, which is three times as slow.
  const __m512i factors = _mm512_set1_epi64(static_cast<int64_t>(factor));
  p = reinterpret_cast<Lanes>(_mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(a), factors));
#else
  p = (a & kLow) * factor;
#endif
}

}  // namespace

// Philox blocks side by side, so that the rounds run in vector registers: word w of eight blocks is one vector, in the
// lower halves of its lanes.
const uint16_t* dropout_bits(const DropoutKey& key, int64_t first, int64_t count, std::vector<uint16_t>& buffer) {
  const uint64_t begin = static_cast<uint64_t>(first) / kDropoutBlock,
                 end = divide_up(static_cast<uint64_t>(first + count), kDropoutBlock);
  const size_t room = static_cast<size_t>(round_up(end - begin, kLanes) * kDropoutBlock);
  if (buffer.size() < room) buffer.resize(room);
  const uint64_t stream = key.stream_now();
  const Lanes iota = {0, 1, 2, 3, 4, 5, 6, 7};
  Lanes k0[Philox::kRounds], k1[Philox::kRounds];
  for (uint64_t round = 0; round < Philox::kRounds; ++round) {
    k0[round] = Lanes{} + key.seed + round * Philox::kWeyl0;
    k1[round] = Lanes{} + (key.seed >> 32) + round * Philox::kWeyl1;
  }
  for (uint64_t block = begin; block < end; block += kLanes) {
    Lanes c0 = iota + block, c1 = c0 >> 32, c2 = Lanes{} + stream, c3 = c2 >> 32;
    for (int round = 0; round < Philox::kRounds; ++round) {
      Lanes p0, p1;
      multiply_low(c0, Philox::kMultiplier0, p0);
      multiply_low(c2, Philox::kMultiplier1, p1);
      c0 = (p1 >> 32) ^ c1 ^ k0[round];
      c2 = (p0 >> 32) ^ c3 ^ k1[round];
      c1 = p1;
      c3 = p0;
    }
    // Words 0 and 1, 2 and 3 of a block as pairs (little-endian), then the pairs block by block.
    const Lanes low = (c0 & kLow) | c1 << 32, high = (c2 & kLow) | c3 << 32;
    const Lanes front = __builtin_shufflevector(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
    const Lanes back = __builtin_shufflevector(low, high, 4, 12, 5, 13, 6, 14, 7, 15);
    uint16_t* out = buffer.data() + (block - begin) * kDropoutBlock;
    std::memcpy(out, &front, sizeof front);
    std::memcpy(out + 32, &back, sizeof back);
  }
  return buffer.data() + first % kDropoutBlock;
}

void dropout_apply(const Tensor& x, const Tensor& y, double p, const DropoutKey& key) {
  for_float(x.dtype(), "dropout", [&]<class T>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    const T factor = static_cast<T>(1.0 / (1.0 - p));
    const uint32_t threshold = dropout_threshold(p);
    const int64_t offset = first_element(key, x);
    parallel_for(x.numel(), kPiece, [=](int64_t first, int64_t last) {
      constexpr int64_t kChunk = 1024;
      std::vector<uint16_t> bits;
      for (int64_t i = first; i < last; i += kChunk) {
        const int64_t n = std::min(kChunk, last - i);
        const uint16_t* u = dropout_bits(key, offset + i, n, bits);
        for (int64_t j = 0; j < n; ++j) out[i + j] = u[j] < threshold ? T(0) : in[i + j] * factor;
      }
    });
  });
}

}  // namespace cpu

Attributes mask_attributes(double p, const std::vector<DropoutKey>& keys) {
  if (!attributes_wanted()) return {};
  std::vector<int64_t> streams;
  for (const DropoutKey& key : keys) streams.push_back(static_cast<int64_t>(key.stream));
  return {
      {"p", p}, {"seed", static_cast<int64_t>(keys[0].seed)}, {"streams", streams}, {"first_row", keys[0].first_row}};
}

Tensor dropout(const Tensor& x, double p, const DropoutKey& key) {
  KDEF_CHECK(p >= 0 && p < 1, "dropout: rate ", p, " is not in [0, 1)");
  KDEF_CHECK(x.rank() > 0, "dropout: needs rows, got ", describe(x));
  const double rate = dropout_rate(p);
  if (rate == 0) return x;
  Tensor y = Tensor::empty_like(x);
  KDEF_LAUNCH(x.device(), dropout_apply, x, y, rate, key);
  return record(
      kDropoutInfo, y, {x}, {},
      [=](const BackwardContext&, const Tensor& dy) -> std::vector<Gradient> {
        Tensor dx = Tensor::empty_like(dy);
        KDEF_LAUNCH(dy.device(), dropout_apply, dy, dx, rate, key);
        return {dx};
      },
      mask_attributes(rate, {key}));
}

}  // namespace kdef::ops
