#include "data/encode/word_tables.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/integers.h"

namespace kdef::data {
namespace {

using Slot = WordTable::Slot;
static_assert(sizeof(Slot) == 16);

// Before the tables.
struct Head {
  SipKey key;
  uint64_t hashes_only = 0;
};
static_assert(sizeof(Head) == 24);

// Before a table: the slots follow, then, where there are words, their ends and their bytes.
struct TableHead {
  uint64_t size = 0, slots = 0, bytes = 0;
};

constexpr uint64_t kMostWords = (uint64_t{1} << 31) - 4;  // as StringSet has: ids are 32 bits
constexpr uint64_t kUnit = 8;                             // every part begins at a multiple of it

template <class T>
void put(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Two thirds full, so that there is an empty slot, where a search ends.
size_t slots_for(size_t words) { return words + words / 2 + 1; }

std::vector<Slot> slots_of(const Vocabulary& words, const SipKey& key, bool hashes_only) {
  const size_t size = static_cast<size_t>(words.word_count());
  std::vector<Slot> slots(slots_for(size));
  for (size_t i = 0; i < size; ++i) {
    const uint64_t hash = siphash(key, words.word(static_cast<int64_t>(i)));
    size_t at = WordTable::place(hash, slots.size());
    while (slots[at].index1 != 0) {
      if (hashes_only && slots[at].hash == hash) {
        throw SystemError("two words have one hash of 64 bits, which is rare; do the same once more, with another key");
      }
      at = at + 1 == slots.size() ? 0 : at + 1;
    }
    slots[at] = {hash, static_cast<uint32_t>(i + 1), 0};
  }
  return slots;
}

void put_table(std::string& out, const Vocabulary& words, const SipKey& key, bool hashes_only) {
  const std::vector<Slot> slots = slots_of(words, key, hashes_only);
  TableHead head{static_cast<uint64_t>(words.word_count()), slots.size(), 0};
  for (int64_t i = 0; !hashes_only && i < words.word_count(); ++i) head.bytes += words.word(i).size();
  put(out, head);
  out.append(reinterpret_cast<const char*>(slots.data()), slots.size() * sizeof(Slot));
  if (hashes_only) return;
  uint64_t end = 0;
  for (int64_t i = 0; i < words.word_count(); ++i) put(out, end += words.word(i).size());
  for (int64_t i = 0; i < words.word_count(); ++i) out += words.word(i);
  out.resize(round_up(out.size(), kUnit));
}

// Reads the tables in order, and checks all that a look-up relies on.
class Tables {
 public:
  Tables(std::string_view bytes, const std::string& path, const std::string& remedy)
      : left_(bytes), path_(path), remedy_(remedy) {
    std::memcpy(&head_, take(1, sizeof head_), sizeof head_);
    if (head_.hashes_only > 1) fail("has an unknown kind of tables");
  }

  WordTable next() {
    TableHead head;
    std::memcpy(&head, take(1, sizeof head), sizeof head);
    if (head.size > kMostWords || head.slots <= head.size) fail("has a table of an impossible size");
    const auto* slots = reinterpret_cast<const Slot*>(take(head.slots, sizeof(Slot)));
    check_slots({slots, head.slots}, head.size);
    if (head_.hashes_only == 1) {
      if (head.bytes != 0) fail("has words where there are to be hashes alone");
      return {head_.key, static_cast<int64_t>(head.size), {slots, head.slots}, nullptr, nullptr};
    }
    const auto* ends = reinterpret_cast<const uint64_t*>(take(head.size, sizeof(uint64_t)));
    if (!std::is_sorted(ends, ends + head.size) || (head.size > 0 ? ends[head.size - 1] : 0) != head.bytes) {
      fail("has words whose sizes contradict each other");
    }
    return {head_.key, static_cast<int64_t>(head.size), {slots, head.slots}, ends, take(head.bytes, 1)};
  }

  void finish() const {
    if (!left_.empty()) fail("has bytes behind the last table");
  }

 private:
  [[noreturn]] void fail(const char* what) const { throw InputError(cat(path_, ": ", what, remedy_)); }

  const char* take(uint64_t count, uint64_t size) {
    if (count > left_.size() / size) fail("ends too early");
    const size_t bytes = static_cast<size_t>(count * size), padded = round_up(bytes, kUnit);
    if (padded > left_.size()) fail("ends too early");
    const char* p = left_.data();
    left_.remove_prefix(padded);
    return p;
  }

  // Each word has one slot, so that a slot is left where a search ends.
  void check_slots(std::span<const Slot> slots, uint64_t size) const {
    uint64_t used = 0;
    uint32_t most = 0, zeros = 0;
    for (const Slot& slot : slots) {
      used += slot.index1 != 0;
      most = std::max(most, slot.index1);
      zeros |= slot.zero;
    }
    if (used != size || most > size || zeros != 0) fail("has a table that contradicts itself");
  }

  std::string_view left_;
  const std::string& path_;
  const std::string& remedy_;
  Head head_;
};

}  // namespace

int64_t WordTable::find(std::string_view word, uint64_t hash) const {
  for (size_t at = place(hash, slots_.size());; at = at + 1 == slots_.size() ? 0 : at + 1) {
    const Slot& slot = slots_[at];
    if (slot.index1 == 0) return -1;
    if (slot.hash == hash && (!has_words() || (*this)[slot.index1 - 1] == word)) return int64_t{slot.index1} - 1;
  }
}

void WordTable::find(std::span<const std::string_view> words, int32_t* indices) const {
  constexpr size_t kBlock = 32;
  std::array<uint64_t, kBlock> hashes;
  for (size_t first = 0; first < words.size(); first += kBlock) {
    const size_t n = std::min(kBlock, words.size() - first);
    for (size_t i = 0; i < n; ++i) {
      hashes[i] = siphash(key_, words[first + i]);
      __builtin_prefetch(&slots_[place(hashes[i], slots_.size())]);
    }
    for (size_t i = 0; i < n; ++i) indices[first + i] = static_cast<int32_t>(find(words[first + i], hashes[i]));
  }
}

std::string word_tables(const Encoder& encoder, const SipKey& key, bool hashes_only) {
  std::string out;
  put(out, Head{key, hashes_only ? uint64_t{1} : 0});
  for (const Encoder::Column& column : encoder.columns()) {
    if (owns_vocabulary(column.cells.field())) put_table(out, *column.vocabulary, key, hashes_only);
  }
  return out;
}

Encoder encoder_of_tables(const NamedBytes& schema, const NamedBytes& tables, std::shared_ptr<const void> owner,
                          const std::string& remedy) {
  Tables in(tables.bytes, tables.name, remedy);
  Encoder encoder = Encoder::of_schema(schema.bytes, schema.name, remedy, [&](const FieldConfig& field) {
    struct Kept {
      std::shared_ptr<const void> owner;
      WordTable table;
    };
    const auto kept = std::make_shared<const Kept>(Kept{owner, in.next()});
    return std::make_shared<Vocabulary>(field.has_ids() ? field.id_count : 0,
                                        std::shared_ptr<const WordTable>(kept, &kept->table));
  });
  in.finish();
  return encoder;
}

}  // namespace kdef::data
