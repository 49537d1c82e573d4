// Sets of byte strings with dense indices, the counts of a training file, and the vocabulary made of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kdef::data {

/// Byte strings numbered from 0 in the order of insertion. Memory: the distinct strings and about 24 bytes for each.
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

 private:
  void grow();

  std::string bytes_;            // all strings, one after the other
  std::vector<uint64_t> ends_;   // where each ends
  std::vector<uint64_t> slots_;  // open addressing, a power of two: high half of the hash, index + 1; 0 is empty
};

/// The ids of a field: 0 is padding, the words from 1, and size() - 1 everything else (out of vocabulary).
class Vocabulary {
 public:
  /// Rows of an embedding table: words + 2.
  int64_t size() const { return words_.size() + 2; }
  int32_t out_of_vocabulary() const { return static_cast<int32_t>(size() - 1); }
  int32_t id(std::string_view word) const {
    const int64_t index = words_.find(word);
    return index < 0 ? out_of_vocabulary() : static_cast<int32_t>(index + 1);
  }
  const StringSet& words() const { return words_; }

  /// Adds the words of `counted` seen at least `min_count` times, except `excluded`, by descending count and, among
  /// equals, ascending bytes. Words that are there already keep their id.
  void add(const StringSet& counted, const std::vector<int64_t>& counts, int64_t min_count, std::string_view excluded);
  void add(std::string_view word) { words_.insert(word); }

 private:
  StringSet words_;
};

}  // namespace kdef::data
