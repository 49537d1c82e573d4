// Tables of words find what the vocabulary finds, and are checked before they are used.
#include "data/encode/word_tables.h"

#include <cstring>

#include "core/base/random.h"
#include "data/encode/prepare.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

// The answers of the reference implementation (vectors.h, vectors_sip64), for the key 00 01 .. 0f.
TEST(SipHash, KnownAnswers) {
  const SipKey key{0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};
  const std::string bytes("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e", 15);
  EXPECT_EQ(siphash(key, ""), 0x726fdb47dd0e0e31ull);
  EXPECT_EQ(siphash(key, bytes.substr(0, 1)), 0x74f839c593dc67fdull);
  EXPECT_EQ(siphash(key, bytes.substr(0, 8)), 0x93f5f5799a932462ull);
  EXPECT_EQ(siphash(key, bytes), 0xa129ca6149be45e5ull);  // the example of the paper
}

// Words of one vocabulary, as tables that lie at a multiple of 8 bytes.
class Tables : public testing::TestWithParam<bool> {
 protected:
  explicit Tables(int words = 3000) {
    Random random(7);
    std::string rows = "label,word\n";
    for (int i = 0; i < words; ++i) {
      std::string word(1 + random.below(20), 'x');
      for (char& c : word) c = static_cast<char>('a' + random.below(4));
      rows += "1," + word + "\n";
    }
    DatasetConfig config;
    config.id = "set";
    config.fields = {field("word")};
    config.train_data = dir_.file("train.csv", rows);
    prepare(config, dir_ / "cache");
    encoder_.emplace(Encoder::load(dir_ / "cache"));
    set(word_tables(*encoder_, {1, 2}, GetParam()));
  }
  void set(const std::string& bytes) {
    bytes_ = std::make_shared<std::vector<uint64_t>>(bytes.size() / 8);
    std::memcpy(bytes_->data(), bytes.data(), bytes_->size() * 8);
  }
  Encoder open() const {
    const std::string schema = schema_.empty() ? encoder_->schema() : schema_;
    return encoder_of_tables({schema, "fields"},
                             {{reinterpret_cast<const char*>(bytes_->data()), bytes_->size() * 8}, "tables"}, bytes_,
                             "; again");
  }
  std::string refusal() const {
    try {
      open();
    } catch (const InputError& e) {
      return e.what();
    }
    return "";
  }
  // The head is 3 numbers; those of the first table follow: words, slots, bytes, then the slots of 2 numbers each.
  static constexpr size_t kWords = 3, kSlots = 4, kBytes = 5, kFirstSlot = 6;
  uint64_t& number(size_t i) { return bytes_->at(i); }

  TemporaryFolder dir_;
  std::optional<Encoder> encoder_;
  std::shared_ptr<std::vector<uint64_t>> bytes_;
  std::string schema_;  // in place of the encoder's; empty: that
};

INSTANTIATE_TEST_SUITE_P(WordsAndHashes, Tables, testing::Bool());

TEST_P(Tables, FindWhatTheVocabularyFinds) {
  const Encoder opened = open();
  const Vocabulary &want = *encoder_->columns()[0].vocabulary, &got = *opened.columns()[0].vocabulary;
  ASSERT_GT(want.word_count(), 1000);
  EXPECT_EQ(got.word_count(), want.word_count());
  EXPECT_EQ(got.size(), want.size());
  EXPECT_EQ(got.has_words(), !GetParam());
  std::vector<std::string> texts = {"", "unknown", "another word that is not there"};
  for (int64_t i = 0; i < want.word_count(); ++i) {
    texts.emplace_back(want.word(i));
    texts.push_back(texts.back() + "?");
    if (got.has_words()) {
      ASSERT_EQ(got.word(i), want.word(i));
    }
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<int32_t> ids(views.size());
  got.ids(views, ids.data());
  for (size_t i = 0; i < views.size(); ++i) {
    ASSERT_EQ(ids[i], want.id(views[i])) << views[i];
    ASSERT_EQ(got.id(views[i]), ids[i]);
  }
  EXPECT_EQ(opened.schema(), encoder_->schema());
}

TEST_P(Tables, AreCheckedBeforeTheyAreUsed) {
  const std::vector<uint64_t> whole = *bytes_;
  const auto changed = [&](size_t at, uint64_t value) {
    *bytes_ = whole;
    number(at) = value;
    return refusal();
  };
  const uint64_t huge = ~uint64_t{0};
  EXPECT_EQ(refusal(), "");
  EXPECT_NE(changed(2, 2), "") << "an unknown kind";
  for (const uint64_t words : {uint64_t{0}, whole[kWords] - 1, whole[kWords] + 1, whole[kSlots], huge}) {
    EXPECT_NE(changed(kWords, words), "") << words << " words";
  }
  for (const uint64_t slots : {uint64_t{0}, whole[kSlots] - 1, whole[kSlots] + 1, uint64_t{1} << 60, huge}) {
    EXPECT_NE(changed(kSlots, slots), "") << slots << " slots";
  }
  for (const uint64_t bytes : {whole[kBytes] + 1, uint64_t{1} << 63, huge}) {
    EXPECT_NE(changed(kBytes, bytes), "") << bytes << " bytes";
  }
  size_t used = kFirstSlot + 1;
  while (whole[used] == 0) used += 2;
  EXPECT_NE(changed(used, whole[kWords] + 1), "") << "a number beyond the words";
  EXPECT_NE(changed(used, 0), "") << "a word without a slot";
  EXPECT_NE(changed(used, whole[used] | uint64_t{1} << 40), "") << "padding that is not zero";
  if (!GetParam()) {
    const size_t ends = kFirstSlot + 2 * whole[kSlots];
    EXPECT_NE(changed(ends, huge), "") << "a word that ends behind the others";
    EXPECT_NE(changed(ends + whole[kWords] - 1, whole[kBytes] + 8), "") << "a word that ends behind the table";
  }
  *bytes_ = whole;
  schema_ = "{}";
  EXPECT_EQ(refusal(), "fields: unexpected content; again");
  schema_.clear();
  bytes_->push_back(0);
  EXPECT_EQ(refusal(), "tables: has bytes behind the last table; again");
  for (size_t size : {size_t{0}, size_t{2}, size_t{5}, size_t{100}, whole.size() - 1}) {
    bytes_->assign(whole.begin(), whole.begin() + static_cast<int64_t>(size));
    EXPECT_EQ(refusal(), "tables: ends too early; again") << size;
  }
}

}  // namespace
}  // namespace kdef::data
