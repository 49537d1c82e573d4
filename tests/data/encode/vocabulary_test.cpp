#include "data/encode/vocabulary.h"

#include <algorithm>
#include <map>

#include "core/base/random.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

TEST(StringSet, NumbersInOrderOfInsertion) {
  StringSet set;
  EXPECT_EQ(set.find("a"), -1);
  EXPECT_EQ(set.insert("a"), 0);
  EXPECT_EQ(set.insert(""), 1);
  EXPECT_EQ(set.insert(std::string("a\0", 2)), 2);
  EXPECT_EQ(set.insert("a"), 0);
  EXPECT_EQ(set[2], std::string_view("a\0", 2));
  EXPECT_EQ(set.size(), 3);
}

TEST(StringSet, AgreesWithAMap) {
  StringSet set;
  std::map<std::string, int64_t> map;
  Random random(3);
  for (int i = 0; i < 100000; ++i) {
    std::string word(random.below(20), 'x');
    for (char& c : word) c = static_cast<char>('a' + random.below(3));
    const auto [at, fresh] = map.emplace(word, set.size());
    ASSERT_EQ(set.insert(word), at->second);
  }
  ASSERT_EQ(set.size(), static_cast<int64_t>(map.size()));
  for (const auto& [word, index] : map) {
    ASSERT_EQ(set.find(word), index);
    ASSERT_EQ(set[index], word);
  }
}

// Many at once are as one after the other; short, overlapping and long texts are told apart.
TEST(StringSet, ManyAtOnceAgreeWithOneByOne) {
  StringSet many, single;
  std::vector<std::string> words;
  Random random(4);
  for (int i = 0; i < 20000; ++i) {
    std::string word(random.below(2) ? random.below(13) : 250 + random.below(10), 'x');
    for (size_t k = 0; k < std::min<size_t>(word.size(), 12); ++k) word[k] = static_cast<char>(random.below(2));
    words.push_back(word);
  }
  const std::vector<std::string_view> texts(words.begin(), words.end());
  std::vector<int32_t> indices(texts.size()), found(texts.size());
  many.find(texts, found.data());
  for (int32_t index : found) ASSERT_EQ(index, -1);
  for (size_t first = 0; first < texts.size();) {
    const size_t n = std::min<size_t>(texts.size() - first, 1 + random.below(100));
    many.insert({texts.data() + first, n}, indices.data() + first);
    first += n;
  }
  for (size_t i = 0; i < texts.size(); ++i) ASSERT_EQ(indices[i], single.insert(texts[i])) << i;
  EXPECT_EQ(many.size(), single.size());
  many.find(texts, found.data());
  EXPECT_EQ(found, indices);
  const std::vector<std::string_view> others = {"absent", "y", "", std::string_view("\0", 1)};
  std::vector<int32_t> index(others.size());
  many.find(others, index.data());
  for (size_t i = 0; i < others.size(); ++i) EXPECT_EQ(index[i], single.find(others[i])) << i;
}

TEST(StringSet, EveryShortTextHasAHeadOfItsOwn) {
  for (size_t size = 0; size <= 8; ++size) {
    std::map<uint64_t, std::string> heads;
    for (uint64_t bits = 0; bits < uint64_t{1} << size; ++bits) {
      std::string text;
      for (size_t k = 0; k < size; ++k) text += bits >> k & 1 ? '\xff' : '\0';
      ASSERT_TRUE(heads.emplace(text_head(text), text).second) << size << " " << bits;
    }
  }
}

TEST(Vocabulary, ByCountThenBytes) {
  StringSet words;
  for (const char* word : {"rare", "b", "a", "na", "top"}) words.insert(word);
  Vocabulary vocabulary;
  vocabulary.add(words, {1, 5, 5, 100, 9}, 2, "na");
  EXPECT_EQ(vocabulary.size(), 5);
  EXPECT_EQ(vocabulary.id("top"), 1);
  EXPECT_EQ(vocabulary.id("a"), 2);
  EXPECT_EQ(vocabulary.id("b"), 3);
  for (const char* word : {"rare", "na", "unseen", ""}) EXPECT_EQ(vocabulary.id(word), vocabulary.out_of_vocabulary());
  EXPECT_EQ(vocabulary.out_of_vocabulary(), 4);
  const std::vector<std::string_view> together = {"b", "unseen", "top", "a"};
  std::vector<int32_t> ids(together.size());
  vocabulary.ids(together, ids.data());
  EXPECT_EQ(ids, (std::vector<int32_t>{3, 4, 1, 2}));
}

TEST(Vocabulary, BytesOrderWordsOfEqualCounts) {
  // Ascending, as bytes: a shorter word before one that it begins, a byte of 128 or more behind all of ASCII.
  const std::vector<std::string> ascending = {
      std::string("\0", 1),  std::string("\0\0", 2),   "12345678", "123456780", "1234567800000", "123456789", "a",
      std::string("a\0", 2), std::string("a\0\0b", 4), "abcdefgh", "abcdefgi",  "\xC3\xA4",      "\xFF"};
  ASSERT_TRUE(std::is_sorted(ascending.begin(), ascending.end()));
  StringSet words;
  for (size_t i = 0; i < ascending.size(); ++i) words.insert(ascending[i * 5 % ascending.size()]);
  Vocabulary vocabulary;
  vocabulary.add(words, std::vector<int64_t>(ascending.size(), 2), 1, "");
  for (size_t i = 0; i < ascending.size(); ++i) {
    EXPECT_EQ(vocabulary.id(ascending[i]), static_cast<int32_t>(i) + 1) << i;
  }
}

TEST(Vocabulary, IdsBehindOutOfVocabulary) {
  Vocabulary ids(33);
  EXPECT_EQ(ids.out_of_vocabulary(), 32);
  ids.set_appended(22);
  EXPECT_EQ(ids.size(), 33);
  EXPECT_EQ(ids.out_of_vocabulary(), 23);
  Vocabulary words;
  words.add("first");
  words.close();
  EXPECT_EQ(words.out_of_vocabulary(), 2);
  words.add("second");
  words.add("first");
  EXPECT_EQ(words.size(), 4);
  EXPECT_EQ(words.out_of_vocabulary(), 2);
  EXPECT_EQ(words.id("first"), 1);
  EXPECT_EQ(words.id("second"), 3);
}

TEST(StringSet, SpaceThatIsMadeChangesNothing) {
  StringSet plain, reserved;
  reserved.insert("text 0");
  reserved.reserve(5000);
  for (int i = 0; i < 6000; ++i) {
    const std::string text = "text " + std::to_string(i);
    ASSERT_EQ(reserved.insert(text), plain.insert(text));
  }
  EXPECT_EQ(reserved.size(), 6000);
  EXPECT_EQ(reserved.find("text 4321"), 4321);
  EXPECT_EQ(reserved.find("text 6000"), -1);
}

}  // namespace
}  // namespace kdef::data
