// Dropout by a counter-based generator. The mask is a function of the key and the element, so that it is the same on
// every device, for any number of threads, and for any division of a batch over processes. Nothing is saved for the
// backward pass.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/base/random.h"
#include "core/tensor/dispatch.h"
#include "core/tensor/tape.h"

namespace kdef::ops {

extern const OpInfo kDropoutInfo;

/// Names the mask of some rows of a batch: the run's seed, a stream that is different for every layer and step, and the
/// place of the rows in the batch.
struct DropoutKey {
  uint64_t seed = 0;
  uint64_t stream = 0;
  const uint64_t* step = nullptr;  // in device memory, added to the stream: for steps that are recorded
  int64_t first_row = 0;           // rows of the batch before these rows: those of lower members of a group

  KDEF_HD uint64_t stream_now() const { return step == nullptr ? stream : stream + *step; }
};
/// The key of dropout layer `layer` (under 2^20) at training step `step` plus *device_step (under 2^36).
inline DropoutKey dropout_key(uint64_t seed, uint64_t layer, uint64_t step, const uint64_t* device_step = nullptr) {
  return {seed, kStreamDropout + (layer << 36) + step, device_step};
}

/// The attributes of an op that draws masks of rate p for one or several networks: p, seed, streams, first_row.
Attributes mask_attributes(double p, const std::vector<DropoutKey>& keys);

/// y = x keep / (1 - p) with keep[i] = [u_i >= p], u_i uniform: inverted dropout (Srivastava et al., JMLR 15, 2014).
/// 0 <= p < 1; the rate that is applied is dropout_rate(p). With p = 0 it returns x. The leading axis of x is the rows
/// of the batch.
Tensor dropout(const Tensor& x, double p, const DropoutKey& key);

/// Every element of the whole batch has 16 random bits. A Philox block holds those of 8 elements: element i has number
/// i % 8 in block i / 8, and of two elements in a word the first has the lower half.
constexpr int kDropoutBlock = 8;
KDEF_HD uint32_t dropout_bits(const std::array<uint32_t, 4>& block, int number) {
  return block[static_cast<size_t>(number / 2)] >> number % 2 * 16 & 0xFFFFu;
}
/// The number of x's first element among those of the whole batch.
inline int64_t first_element(const DropoutKey& key, const Tensor& x) {
  return key.first_row == 0 || x.numel() == 0 ? 0 : key.first_row * (x.numel() / x.shape()[0]);
}
/// The rate that is applied for p: the nearest multiple of 2^-16. 0.1 becomes 0.1000061.
inline double dropout_rate(double p) { return std::min(65535.0, std::round(p * 65536.0)) / 65536.0; }
/// An element is dropped if its random bits are less than this.
inline uint32_t dropout_threshold(double p) { return static_cast<uint32_t>(dropout_rate(p) * 65536.0); }

namespace cpu {
/// The random bits of elements [first, first + count) of the whole batch, in `buffer`, which is resized.
const uint16_t* dropout_bits(const DropoutKey& key, int64_t first, int64_t count, std::vector<uint16_t>& buffer);
}  // namespace cpu

KDEF_KERNEL(void, dropout_apply, const Tensor& x, const Tensor& y, double p, const DropoutKey& key)

}  // namespace kdef::ops
