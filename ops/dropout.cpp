#include "ops/dropout.h"

#include "core/parallel.h"

namespace kdef::ops {

const OpInfo kDropoutInfo{"dropout", "y = x keep / (1 - p)", "dx = dy keep / (1 - p)"};

namespace cpu {

// Sixteen Philox blocks side by side, so that the rounds run in vector registers; block i serves elements 4i .. 4i+3.
const uint32_t* dropout_bits(const DropoutKey& key, int64_t first, int64_t count, std::vector<uint32_t>& buffer) {
  constexpr int kLanes = 16;
  const uint64_t begin = static_cast<uint64_t>(first) / 4, end = (static_cast<uint64_t>(first + count) + 3) / 4;
  const size_t room = static_cast<size_t>((end - begin + kLanes - 1) / kLanes * kLanes * 4);
  if (buffer.size() < room) buffer.resize(room);
  for (uint64_t block = begin; block < end; block += kLanes) {
    uint32_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
    for (int l = 0; l < kLanes; ++l) {
      const uint64_t counter = block + static_cast<uint64_t>(l);
      c0[l] = static_cast<uint32_t>(counter);
      c1[l] = static_cast<uint32_t>(counter >> 32);
      c2[l] = static_cast<uint32_t>(key.stream);
      c3[l] = static_cast<uint32_t>(key.stream >> 32);
    }
    uint32_t k0 = static_cast<uint32_t>(key.seed), k1 = static_cast<uint32_t>(key.seed >> 32);
    for (int round = 0; round < Philox::kRounds; ++round) {
      for (int l = 0; l < kLanes; ++l) Philox::round(c0[l], c1[l], c2[l], c3[l], k0, k1);
      k0 += Philox::kWeyl0;
      k1 += Philox::kWeyl1;
    }
    uint32_t* out = buffer.data() + (block - begin) * 4;
    for (int l = 0; l < kLanes; ++l) {
      out[4 * l] = c0[l];
      out[4 * l + 1] = c1[l];
      out[4 * l + 2] = c2[l];
      out[4 * l + 3] = c3[l];
    }
  }
  return buffer.data() + first % 4;
}

void dropout_apply(const Tensor& x, const Tensor& y, double p, const DropoutKey& key) {
  for_float(x.dtype(), "dropout", [&]<class T>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    const T factor = static_cast<T>(1.0 / (1.0 - p));
    const uint32_t threshold = dropout_threshold(p);
    parallel_for(x.numel(), kPiece, [=](int64_t first, int64_t last) {
      constexpr int64_t kChunk = 1024;
      std::vector<uint32_t> bits;
      for (int64_t i = first; i < last; i += kChunk) {
        const int64_t n = std::min(kChunk, last - i);
        const uint32_t* u = dropout_bits(key, i, n, bits);
        for (int64_t j = 0; j < n; ++j) out[i + j] = u[j] < threshold ? T(0) : in[i + j] * factor;
      }
    });
  });
}

}  // namespace cpu

Tensor dropout(const Tensor& x, double p, const DropoutKey& key) {
  KDEF_CHECK(p >= 0 && p < 1, "dropout: rate ", p, " is not in [0, 1)");
  if (p == 0) return x;
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  KDEF_LAUNCH(x.device(), dropout_apply, x, y, p, key);
  return record(kDropoutInfo, y, {x}, {}, [=](const BackwardContext&, const Tensor& dy) -> std::vector<Gradient> {
    Tensor dx = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
    KDEF_LAUNCH(dy.device(), dropout_apply, dy, dx, p, key);
    return {dx};
  });
}

}  // namespace kdef::ops
