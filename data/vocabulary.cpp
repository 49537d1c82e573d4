#include "data/vocabulary.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace kdef::data {
namespace {

// Multiply and fold, as in wyhash (Wang Yi): 64x64 -> 128 bits, halves xored.
uint64_t fold(uint64_t a, uint64_t b) {
  const __uint128_t product = static_cast<__uint128_t>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t hash(std::string_view text) {
  constexpr uint64_t k0 = 0xA0761D6478BD642Full, k1 = 0xE7037ED1A0B428DBull;
  const char* p = text.data();
  size_t n = text.size();
  uint64_t h = k0 ^ n;
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    h = fold(h ^ word, k1);
  }
  uint64_t word = 0;
  if (n > 0) std::memcpy(&word, p, n);
  return fold(fold(h ^ word, k1), k0);
}

constexpr uint64_t kTag = 0xFFFFFFFF00000000ull;

}  // namespace

int64_t StringSet::insert(std::string_view text) {
  if (4 * (ends_.size() + 1) > 3 * slots_.size()) grow();
  const uint64_t h = hash(text);
  const size_t mask = slots_.size() - 1;
  for (size_t at = h & mask;; at = (at + 1) & mask) {
    const uint64_t slot = slots_[at];
    if (slot == 0) {
      if (size() >= (int64_t{1} << 31) - 4) {
        throw InputError("a field has more than 2^31 distinct values; leave it out or make its values coarser");
      }
      bytes_.append(text);
      ends_.push_back(bytes_.size());
      slots_[at] = (h & kTag) | ends_.size();
      return size() - 1;
    }
    if ((slot & kTag) == (h & kTag)) {
      const int64_t index = static_cast<int64_t>(slot & ~kTag) - 1;
      if ((*this)[index] == text) return index;
    }
  }
}

int64_t StringSet::find(std::string_view text) const {
  if (slots_.empty()) return -1;
  const uint64_t h = hash(text);
  const size_t mask = slots_.size() - 1;
  for (size_t at = h & mask;; at = (at + 1) & mask) {
    const uint64_t slot = slots_[at];
    if (slot == 0) return -1;
    if ((slot & kTag) == (h & kTag)) {
      const int64_t index = static_cast<int64_t>(slot & ~kTag) - 1;
      if ((*this)[index] == text) return index;
    }
  }
}

void StringSet::grow() {
  std::vector<uint64_t> slots(std::max<size_t>(64, 2 * slots_.size()), 0);
  const size_t mask = slots.size() - 1;
  for (int64_t i = 0; i < size(); ++i) {
    const uint64_t h = hash((*this)[i]);
    size_t at = h & mask;
    while (slots[at] != 0) at = (at + 1) & mask;
    slots[at] = (h & kTag) | static_cast<uint64_t>(i + 1);
  }
  slots_ = std::move(slots);
}

void Vocabulary::add(const StringSet& counted, const std::vector<int64_t>& counts, int64_t min_count,
                     std::string_view excluded) {
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < counted.size(); ++i) {
    if (counts[static_cast<size_t>(i)] >= min_count && counted[i] != excluded) kept.push_back(i);
  }
  std::sort(kept.begin(), kept.end(), [&](int64_t a, int64_t b) {
    const int64_t ca = counts[static_cast<size_t>(a)], cb = counts[static_cast<size_t>(b)];
    return ca != cb ? ca > cb : counted[a] < counted[b];
  });
  for (int64_t i : kept) words_.insert(counted[i]);
}

}  // namespace kdef::data
