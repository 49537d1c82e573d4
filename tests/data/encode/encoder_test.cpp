#include "data/encode/encoder.h"

#include <cstring>

#include "core/io/file.h"
#include "data/encode/prepare.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

class EncoderTest : public ::testing::Test {
 protected:
  EncoderTest() {
    FieldConfig tags = field("tags", FieldType::sequence), price = field("price", FieldType::numeric, CellType::real);
    tags.max_len = 2;
    price.normalizer = Normalizer::min_max;
    price.fill_na = "0";
    FieldConfig shared = field("other");
    shared.share_embedding = "item";
    config_.id = "set";
    config_.fields = {field("item"), tags, price, shared};
    config_.train_data =
        dir_.file("train.csv", "label,item,tags,price,other\n1,a,x^y,0,b\n0,a,x,10,c\n1,\"b,b\",,5,a\n");
    prepare(config_, dir_ / "cache");
  }
  TemporaryFolder dir_;
  DatasetConfig config_;
};

TEST_F(EncoderTest, AFileOfItsOwnIsEnough) {
  std::filesystem::copy_file(dir_ / "cache/vocabulary.kdefvoc", dir_ / "copy");
  std::filesystem::remove_all(dir_ / "cache");
  const Encoder encoder = Encoder::load(dir_ / "copy");
  EXPECT_EQ(encoder.feature_map().fields.size(), 4u);
  EXPECT_EQ(encoder.feature_map().label, "label");
  EXPECT_EQ(encoder.columns()[0].vocabulary, encoder.columns()[3].vocabulary);
  RawFile file(encoder, config_.train_data, true);
  Batch batch;
  ASSERT_TRUE(file.next(batch));
  EXPECT_EQ(batch.rows, 3);
  EXPECT_EQ(batch.ids, (std::vector<int32_t>{1, 1, 2, 3, 1, 1, 0, 4, 2, 0, 0, 1}));
  EXPECT_EQ(batch.numerics, (std::vector<float>{0, 1, 0.5}));
  EXPECT_EQ(batch.labels, (std::vector<float>{1, 0, 1}));
  EXPECT_FALSE(file.next(batch));
  encoder.save(dir_ / "again");
  EXPECT_EQ(read_file(dir_ / "again"), read_file(dir_ / "copy"));
}

TEST_F(EncoderTest, OtherOrderOtherColumnsNoLabel) {
  const Encoder encoder = Encoder::load(dir_ / "cache");
  const std::string path = dir_.file("new.csv", "price,other,note,item,tags\n20,new,?,a,z^x\n,,?,,\n");
  RawFile file(encoder, path, false);
  Batch batch;
  ASSERT_TRUE(file.next(batch, 1));
  EXPECT_EQ(batch.rows, 1);
  EXPECT_EQ(batch.ids, (std::vector<int32_t>{1, 3, 1, 5}));
  EXPECT_EQ(batch.numerics, (std::vector<float>{2}));
  EXPECT_TRUE(batch.labels.empty());
  ASSERT_TRUE(file.next(batch, 1));
  EXPECT_EQ(batch.ids, (std::vector<int32_t>{5, 0, 0, 5}));
  EXPECT_FALSE(file.next(batch, 1));
  expect_error<InputError>([&] { RawFile(encoder, path, true); }, {"new.csv", "no column 'label'", "kdef predict"});
}

TEST_F(EncoderTest, LabelsThatAreNotAskedForAreNotRead) {
  const Encoder encoder = Encoder::load(dir_ / "cache");
  Batch with, without;
  const std::string rows[] = {",a,x,1,b", "?,a,x,1,b", "-1,a,x,1,b", "0,a,x,1,b"};
  for (const std::string& row : rows) {
    RawFile file(encoder, dir_.file("l.csv", "label,item,tags,price,other\n" + row + "\n"), false);
    ASSERT_TRUE(file.next(with));
    EXPECT_TRUE(with.labels.empty());
    if (without.rows > 0) {
      EXPECT_EQ(with.ids, without.ids);
    }
    without = with;
  }
}

// Numbers of a file are bounded before memory is taken for them.
TEST_F(EncoderTest, ImpossibleNumbersAreRefused) {
  std::string bytes = read_file(dir_ / "cache/vocabulary.kdefvoc");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data() + 12, 8);
  const std::string json = bytes.substr(20, length), words = bytes.substr(20 + length, bytes.size() - 24 - length);
  const auto with = [&](const std::string& old, const std::string& other) {
    std::string text = json;
    const size_t at = text.find(old);
    EXPECT_NE(at, std::string::npos) << old;
    text.replace(at, old.size(), other);
    const uint64_t size = text.size();
    std::string file = bytes.substr(0, 12) + std::string(reinterpret_cast<const char*>(&size), 8) + text + words;
    const uint32_t crc = crc32(file.data(), file.size());
    file.append(reinterpret_cast<const char*>(&crc), 4);
    return [this, file] { Encoder::load(dir_.file("n", file)); };
  };
  with("\"max_len\":2", "\"max_len\":2")();
  for (const char* value : {"9223372036854775807", "18446744073709551615", "2000000", "-1", "1e3"}) {
    expect_error<InputError>(with("\"max_len\":2", std::string("\"max_len\":") + value), {"n: ", "content"});
  }
}

TEST_F(EncoderTest, ManyRowsInOrder) {
  const Encoder encoder = Encoder::load(dir_ / "cache");
  std::string text = "label,item,tags,price,other\n";
  constexpr int kRows = 120000;
  for (int i = 0; i < kRows; ++i) text += "1,a,x," + std::to_string(i) + ",b\n";
  RawFile file(encoder, dir_.file("many.csv", text), false);
  Batch batch;
  int row = 0;
  while (file.next(batch, 1000)) {
    ASSERT_LE(batch.rows, 1000);
    for (float price : batch.numerics) ASSERT_EQ(price, static_cast<float>(row++ / 10.0));
  }
  EXPECT_EQ(row, kRows);
}

TEST_F(EncoderTest, BadRowsAreNamed) {
  const Encoder encoder = Encoder::load(dir_ / "cache");
  Batch batch;
  expect_error<InputError>(
      [&] { RawFile(encoder, dir_.file("n.csv", "item,tags,price,other\na,x,1,b\na,x,cheap,b\n"), false).next(batch); },
      {"n.csv:3", "column price", "'cheap'"});
}

TEST_F(EncoderTest, DamagedFiles) {
  const std::string bytes = read_file(dir_ / "cache/vocabulary.kdefvoc");
  for (size_t length = 0; length < bytes.size(); length += 13) {
    EXPECT_THROW(Encoder::load(dir_.file("t", bytes.substr(0, length))), InputError) << length;
  }
  for (size_t at = 0; at < bytes.size(); at += 7) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    EXPECT_THROW(Encoder::load(dir_.file("d", damaged)), InputError) << at;
  }
  expect_error<InputError>([&] { Encoder::load(dir_.file("f", "hello, world, this is no vocabulary")); },
                           {"not a vocabulary file"});
  expect_error<InputError>([&] { Encoder::load(dir_ / "none"); }, {"none"});
}

TEST(EncodeSequence, PaddingAndCutting) {
  int32_t out[3];
  encode_sequence({1, 2, 3, 4}, 3, Padding::post, out);
  EXPECT_EQ(std::vector<int32_t>(out, out + 3), (std::vector<int32_t>{1, 2, 3}));
  encode_sequence({1, 2, 3, 4}, 3, Padding::pre, out);
  EXPECT_EQ(std::vector<int32_t>(out, out + 3), (std::vector<int32_t>{2, 3, 4}));
  encode_sequence({1}, 3, Padding::pre, out);
  EXPECT_EQ(std::vector<int32_t>(out, out + 3), (std::vector<int32_t>{0, 0, 1}));
}

}  // namespace
}  // namespace kdef::data
