// Dropout by a counter-based generator: the mask is a function of the key and the element, the same on every
// device and for any number of threads, and nothing is saved for the backward pass.
#pragma once

#include <vector>

#include "core/dispatch.h"
#include "core/random.h"
#include "core/tape.h"

namespace kdef::ops {

extern const OpInfo kDropoutInfo;

/// Names one mask: the run's seed, and a stream that is different for every layer and step.
struct DropoutKey {
  uint64_t seed = 0;
  uint64_t stream = 0;
  const uint64_t* step = nullptr;  // in device memory, added to the stream: for steps that are recorded

  KDEF_HD uint64_t stream_now() const { return step == nullptr ? stream : stream + *step; }
};
/// The key of dropout layer `layer` (under 2^20) at training step `step` plus *device_step (under 2^36).
inline DropoutKey dropout_key(uint64_t seed, uint64_t layer, uint64_t step, const uint64_t* device_step = nullptr) {
  return {seed, kStreamDropout + (layer << 36) + step, device_step};
}

/// y = x keep / (1 - p) with keep[i] = [u_i >= p], u_i uniform: inverted dropout (Srivastava et al., JMLR 15,
/// 2014). 0 <= p < 1; p = 0 returns x.
Tensor dropout(const Tensor& x, double p, const DropoutKey& key);

/// Dropped where the element's 32 random bits are under this.
inline uint32_t dropout_threshold(double p) { return static_cast<uint32_t>(p * 4294967296.0); }

namespace cpu {
/// The random bits of elements [first, first + count), in `buffer`, which needs room for count + 8 (it is resized).
const uint32_t* dropout_bits(const DropoutKey& key, int64_t first, int64_t count, std::vector<uint32_t>& buffer);
}  // namespace cpu

KDEF_KERNEL(void, dropout_apply, const Tensor& x, const Tensor& y, double p, const DropoutKey& key)

}  // namespace kdef::ops
