// Sets of byte strings with dense indices, and the vocabulary that is made from the counts of a training file.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kdef::data {

/// The first 8 bytes of a text as a number. Two different texts of one size, which is at most 8, have different heads.
inline uint64_t text_head(std::string_view text) {
  const char* p = text.data();
  const size_t n = text.size();
  uint64_t head = 0;
  if (n >= 8) {
    std::memcpy(&head, p, 8);
  } else if (n >= 4) {  // two halves that overlap
    uint32_t low, high;
    std::memcpy(&low, p, 4);
    std::memcpy(&high, p + n - 4, 4);
    head = low | uint64_t{high} << 32;
  } else if (n > 0) {
    const auto byte = [&](size_t i) { return uint64_t{static_cast<unsigned char>(p[i])}; };
    head = byte(0) | byte(n / 2) << 8 | byte(n - 1) << 16;
  }
  return head;
}

/// Byte strings numbered from 0 in the order of insertion. Memory: the distinct strings and about 40 bytes for each.
class StringSet {
 public:
  int64_t size() const { return static_cast<int64_t>(ends_.size()); }
  std::string_view operator[](int64_t index) const {
    const uint64_t begin = index == 0 ? 0 : ends_[static_cast<size_t>(index) - 1];
    return {bytes_.data() + begin, static_cast<size_t>(ends_[static_cast<size_t>(index)] - begin)};
  }
  /// The index of `text`, which is added if it is new. InputError beyond 2^31 - 4 strings: ids are 32 bits.
  int64_t insert(std::string_view text);
  /// The index of `text`, or -1.
  int64_t find(std::string_view text) const;
  /// Makes space for `strings` strings.
  void reserve(int64_t strings);
  /// Insert or find many texts, in their order. The processor fetches the memory of a whole block of texts before it
  /// compares the first one: several times faster where the set is larger than the processor's caches.
  void insert(std::span<const std::string_view> texts, int32_t* indices);
  void find(std::span<const std::string_view> texts, int32_t* indices) const;

 private:
  // What a look-up compares. `head` and the size in `tag` decide for a string of up to 8 bytes; only a longer string
  // is compared with bytes_.
  struct Slot {
    uint64_t head;    // see text_head
    uint32_t tag;     // 24 bits of the hash, then the size up to 255
    uint32_t index1;  // index + 1; 0: the slot is empty
  };
  struct Key;
  template <class Fn>
  void each_in_blocks(std::span<const std::string_view> texts, Fn&& lookup) const;
  size_t probe(std::string_view text, const Key& key) const;
  int64_t insert(std::string_view text, const Key& key);
  void rehash(size_t slot_count);

  std::string bytes_;           // all strings, one after the other
  std::vector<uint64_t> ends_;  // where each ends
  std::vector<Slot> slots_;     // open addressing, a power of two
};

class WordTable;  // data/encode/word_tables.h

/// The ids of a field: 0 is padding, the words have 1 and more, and the id behind them is every other text (out of
/// vocabulary). Words that are appended afterwards stand behind that id.
class Vocabulary {
 public:
  Vocabulary() = default;
  /// Of a field whose cells are ids: there are no words.
  explicit Vocabulary(int64_t ids) : ids_(ids) {}
  /// Of words in a table, to which none is added. `ids`: 0, or of a field whose cells are ids.
  Vocabulary(int64_t ids, std::shared_ptr<const WordTable> table);
  /// Rows of an embedding table: words + 2, or the number of ids.
  int64_t size() const { return std::max(ids_, word_count() + 2); }
  int32_t out_of_vocabulary() const {
    return static_cast<int32_t>(appended_ ? first_appended_ + 1 : ids_ > 0 ? ids_ - 1 : word_count() + 1);
  }
  int32_t id(std::string_view word) const { return id_of(table_ != nullptr ? in_table(word) : words_.find(word)); }
  /// Finds the ids of many words; faster than id() of one word after the other.
  void ids(std::span<const std::string_view> words, int32_t* ids) const;
  int64_t word_count() const { return table_ != nullptr ? table_words_ : words_.size(); }
  /// False where only hashes of the words are known.
  bool has_words() const;
  /// A word, from 0; ids may be other numbers. InputError where has_words() is false.
  std::string_view word(int64_t index) const;

  /// Adds the words of `counted` that were seen at least `min_count` times, except `excluded`: by descending count,
  /// and words of one count by ascending bytes. Words that the vocabulary has already keep their id.
  void add(const StringSet& counted, const std::vector<int64_t>& counts, int64_t min_count, std::string_view excluded);
  void add(std::string_view word) { words_.insert(word); }
  /// Words that are added from now on stand behind out-of-vocabulary, which keeps its id.
  void close() { set_appended(first_appended()); }
  /// The words from `first` on are appended ones. Of a field whose cells are ids: so are the ids above first + 1, which
  /// is out-of-vocabulary.
  void set_appended(int64_t first) {
    appended_ = true;
    first_appended_ = first;
  }
  /// How many words are not appended.
  int64_t first_appended() const { return appended_ ? first_appended_ : word_count(); }

 private:
  int32_t id_of(int64_t index) const {
    if (index < 0) return out_of_vocabulary();
    return static_cast<int32_t>(index + (appended_ && index >= first_appended_ ? 2 : 1));
  }

  int64_t in_table(std::string_view word) const;

  StringSet words_;
  std::shared_ptr<const WordTable> table_;  // in place of words_; null: none
  int64_t table_words_ = 0;
  int64_t ids_ = 0;
  bool appended_ = false;
  int64_t first_appended_ = 0;
};

}  // namespace kdef::data
