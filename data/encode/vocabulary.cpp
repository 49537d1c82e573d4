#include "data/encode/vocabulary.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "data/encode/word_tables.h"

namespace kdef::data {
namespace {

// Multiply and fold, as in wyhash (Wang Yi): 64x64 -> 128 bits, halves xored.
uint64_t fold(uint64_t a, uint64_t b) {
  const __uint128_t product = static_cast<__uint128_t>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t hash(std::string_view text, uint64_t head) {
  constexpr uint64_t k0 = 0xA0761D6478BD642Full, k1 = 0xE7037ED1A0B428DBull;
  uint64_t h = fold(head ^ k0, k1 ^ text.size());
  if (text.size() <= 8) return h;
  const char* p = text.data() + 8;
  size_t n = text.size() - 8;
  for (; n > 8; n -= 8, p += 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    h = fold(h ^ word, k1);
  }
  return fold(h ^ text_head({p, n}), k1);
}

// The first 8 bytes of a text, which may have fewer, from the highest byte of the number to the lowest.
uint64_t first_bytes(std::string_view text) {
  uint64_t number = 0;
  for (size_t i = 0; i < 8; ++i) number = number << 8 | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0u);
  return number;
}

constexpr size_t kBlock = 32;  // look-ups whose memory is fetched together
constexpr size_t kSlots = 64;  // of a set with one string

// Whether a table leaves a quarter of its slots empty.
bool fits(size_t strings, size_t slots) { return 4 * strings <= 3 * slots; }

}  // namespace

struct StringSet::Key {
  Key() = default;
  explicit Key(std::string_view text)
      : head(text_head(text)),
        hash(data::hash(text, head)),
        tag(static_cast<uint32_t>(hash >> 32 & 0xFFFFFF00u) |
            static_cast<uint32_t>(std::min<size_t>(text.size(), 255))) {}
  uint64_t head, hash;
  uint32_t tag;
};

// The slot of `text`, or the empty one where it belongs.
size_t StringSet::probe(std::string_view text, const Key& key) const {
  const size_t mask = slots_.size() - 1;
  for (size_t at = key.hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.index1 == 0) return at;
    if (slot.head == key.head && slot.tag == key.tag && (text.size() <= 8 || (*this)[slot.index1 - 1] == text))
      return at;
  }
}

int64_t StringSet::insert(std::string_view text, const Key& key) {
  if (!fits(ends_.size() + 1, slots_.size())) rehash(std::max(kSlots, 2 * slots_.size()));
  Slot& slot = slots_[probe(text, key)];
  if (slot.index1 == 0) {
    if (size() >= (int64_t{1} << 31) - 4) {
      throw InputError("a field has more than 2^31 distinct values; leave it out or make its values coarser");
    }
    bytes_.append(text);
    ends_.push_back(bytes_.size());
    slot = {key.head, key.tag, static_cast<uint32_t>(ends_.size())};
  }
  return int64_t{slot.index1} - 1;
}

int64_t StringSet::insert(std::string_view text) { return insert(text, Key(text)); }

int64_t StringSet::find(std::string_view text) const {
  return slots_.empty() ? -1 : int64_t{slots_[probe(text, Key(text))].index1} - 1;
}

// Calls lookup(i, key) for every text in order; the slots of a block are fetched before its first call.
template <class Fn>
void StringSet::each_in_blocks(std::span<const std::string_view> texts, Fn&& lookup) const {
  std::array<Key, kBlock> keys;
  for (size_t first = 0; first < texts.size(); first += kBlock) {
    const size_t n = std::min(kBlock, texts.size() - first);
    const size_t mask = slots_.size() - 1;
    for (size_t i = 0; i < n; ++i) {
      keys[i] = Key(texts[first + i]);
      __builtin_prefetch(&slots_[keys[i].hash & mask]);
    }
    for (size_t i = 0; i < n; ++i) lookup(first + i, keys[i]);
  }
}

void StringSet::insert(std::span<const std::string_view> texts, int32_t* indices) {
  if (slots_.empty()) rehash(kSlots);
  each_in_blocks(texts, [&](size_t i, const Key& key) { indices[i] = static_cast<int32_t>(insert(texts[i], key)); });
}

void StringSet::find(std::span<const std::string_view> texts, int32_t* indices) const {
  if (slots_.empty()) {
    std::fill_n(indices, texts.size(), -1);
    return;
  }
  each_in_blocks(texts, [&](size_t i, const Key& key) {
    indices[i] = static_cast<int32_t>(slots_[probe(texts[i], key)].index1) - 1;
  });
}

void StringSet::reserve(int64_t strings) {
  size_t slots = std::max(kSlots, slots_.size());
  while (!fits(static_cast<size_t>(strings), slots)) slots *= 2;
  if (slots > slots_.size()) rehash(slots);
  ends_.reserve(static_cast<size_t>(strings));
}

void StringSet::rehash(size_t slot_count) {
  std::vector<Slot> slots(slot_count);
  const size_t mask = slots.size() - 1;
  for (int64_t i = 0; i < size(); ++i) {
    const Key key((*this)[i]);
    size_t at = key.hash & mask;
    while (slots[at].index1 != 0) at = (at + 1) & mask;
    slots[at] = {key.head, key.tag, static_cast<uint32_t>(i + 1)};
  }
  slots_ = std::move(slots);
}

Vocabulary::Vocabulary(int64_t ids, std::shared_ptr<const WordTable> table)
    : table_(std::move(table)), table_words_(table_->size()), ids_(ids) {}

bool Vocabulary::has_words() const { return table_ == nullptr || table_->has_words(); }

std::string_view Vocabulary::word(int64_t index) const {
  if (table_ == nullptr) return words_[index];
  if (!table_->has_words()) {
    throw InputError("this model has hashes in place of its words (kdef export --private); take the run itself");
  }
  return (*table_)[index];
}

int64_t Vocabulary::in_table(std::string_view word) const { return table_->find(word); }

void Vocabulary::ids(std::span<const std::string_view> words, int32_t* ids) const {
  if (table_ != nullptr) {
    table_->find(words, ids);
  } else {
    words_.find(words, ids);
  }
  for (size_t i = 0; i < words.size(); ++i) ids[i] = id_of(ids[i]);
}

void Vocabulary::add(const StringSet& counted, const std::vector<int64_t>& counts, int64_t min_count,
                     std::string_view excluded) {
  struct Kept {
    int64_t count;
    uint64_t first;  // bytes, as one number that has their order
    int64_t index;
  };
  std::vector<Kept> kept;
  for (int64_t i = 0; i < counted.size(); ++i) {
    const int64_t count = counts[static_cast<size_t>(i)];
    if (count >= min_count && counted[i] != excluded) kept.push_back({count, first_bytes(counted[i]), i});
  }
  std::sort(kept.begin(), kept.end(), [&](const Kept& a, const Kept& b) {
    if (a.count != b.count) return a.count > b.count;
    return a.first != b.first ? a.first < b.first : counted[a.index] < counted[b.index];
  });
  words_.reserve(words_.size() + static_cast<int64_t>(kept.size()));
  for (const Kept& word : kept) add(counted[word.index]);
}

}  // namespace kdef::data
