// The words of an encoder as tables that are used where they lie, for instance in a file mapped into memory: nothing is
// built when they are opened. A table finds a word by its keyed hash. It holds the words beside, or only their hashes.
// docs/model-file.md describes the bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/base/siphash.h"
#include "data/encode/encoder.h"

namespace kdef::data {

/// The words of one vocabulary, numbered from 0. Immutable: any number of threads may read.
class WordTable {
 public:
  struct Slot {
    uint64_t hash;    // siphash() of a word
    uint32_t index1;  // its number + 1; 0: the slot is empty
    uint32_t zero;
  };
  /// Looks at memory that the caller keeps. `ends`: where each word ends in `bytes`; null: there are hashes alone.
  WordTable(SipKey key, int64_t size, std::span<const Slot> slots, const uint64_t* ends, const char* bytes)
      : key_(key), size_(size), slots_(slots), ends_(ends), bytes_(bytes) {}

  int64_t size() const { return size_; }
  bool has_words() const { return ends_ != nullptr; }
  /// A word; only where has_words() is true.
  std::string_view operator[](int64_t index) const {
    const uint64_t begin = index == 0 ? 0 : ends_[index - 1];
    return {bytes_ + begin, static_cast<size_t>(ends_[index] - begin)};
  }
  /// The number of a word, or -1. Without words, another word has the number of one of n words with probability
  /// n / 2^64.
  int64_t find(std::string_view word) const { return find(word, siphash(key_, word)); }
  /// The same for many words; their memory is fetched together.
  void find(std::span<const std::string_view> words, int32_t* indices) const;

  /// Where the search for a hash begins: hashes are spread evenly over the slots.
  static size_t place(uint64_t hash, size_t slots) {
    return static_cast<size_t>(static_cast<__uint128_t>(hash) * slots >> 64);
  }

 private:
  int64_t find(std::string_view word, uint64_t hash) const;

  SipKey key_;
  int64_t size_;
  std::span<const Slot> slots_;
  const uint64_t* ends_;
  const char* bytes_;
};

/// The tables of all vocabularies of an encoder. With `hashes_only` they do not hold the words.
std::string word_tables(const Encoder& encoder, const SipKey& key, bool hashes_only);

/// Bytes, and where they stand, for messages.
struct NamedBytes {
  std::string_view bytes;
  std::string name;
};

/// The encoder of Encoder::schema() and of word_tables(). `tables` begins at a multiple of 8 bytes, and stays as it is
/// as long as anybody holds `owner`, which the encoder does. All of it is checked before it is used. InputError,
/// which begins with the name of one of both and ends with `remedy`, for bytes that these functions do not write.
Encoder encoder_of_tables(const NamedBytes& schema, const NamedBytes& tables, std::shared_ptr<const void> owner,
                          const std::string& remedy);

}  // namespace kdef::data
