#include "data/raw/byte_source.h"

#include "tests/data/compressed.h"
#include "tests/data/support.h"

namespace kdef::data {
namespace {

// All bytes, read in pieces of `piece`.
std::string read_all(const std::string& path, size_t piece = 1000) {
  const auto source = ByteSource::open(path);
  EXPECT_LE(source->fraction(), 1);
  std::string all, block(piece, '\0');
  while (const size_t n = source->read(block.data(), piece)) all.append(block, 0, n);
  EXPECT_EQ(source->fraction(), 1);
  return all;
}

// Larger than the buffers of a source.
std::string text() {
  std::string all;
  for (int64_t i = 0; i < 300000; ++i) all += std::to_string(i * 7919 % 10007) + "\n";
  return all;
}

TEST(ByteSource, TheNameDecidesTheCompression) {
  TemporaryFolder dir;
  const std::string plain = text();
  EXPECT_EQ(read_all(dir.file("a.csv", plain)), plain);
  for (size_t piece : {size_t{1} << 20, size_t{4099}}) {
    EXPECT_EQ(read_all(dir.file("a.csv.gz", gzip(plain)), piece), plain);
    EXPECT_EQ(read_all(dir.file("a.csv.zst", zstd(plain)), piece), plain);
  }
}

TEST(ByteSource, MembersAndFramesMayFollowEachOther) {
  TemporaryFolder dir;
  const std::string plain = text(), head = plain.substr(0, 1000), tail = plain.substr(1000);
  EXPECT_EQ(read_all(dir.file("b.gz", gzip(head) + gzip(tail))), plain);
  EXPECT_EQ(read_all(dir.file("b.zst", zstd(head) + zstd(tail))), plain);
}

TEST(ByteSource, Empty) {
  TemporaryFolder dir;
  for (const char* name : {"e.csv", "e.gz", "e.zst"}) EXPECT_EQ(read_all(dir.file(name, "")), "");
}

TEST(ByteSource, DamagedCompression) {
  TemporaryFolder dir;
  const std::string plain = text(), gz = gzip(plain), zst = zstd(plain);
  const auto read = [&](const std::string& name, const std::string& bytes) {
    return [=, &dir] { read_all(dir.file(name, bytes)); };
  };
  expect_error<InputError>(read("a.gz", gz.substr(0, gz.size() / 2)), {"a.gz", "truncated"});
  expect_error<InputError>(read("a.zst", zst.substr(0, zst.size() / 2)), {"a.zst", "truncated"});
  expect_error<InputError>(read("b.gz", plain), {"b.gz", "gzip"});
  expect_error<InputError>(read("b.zst", plain), {"b.zst", "zstd"});
}

TEST(ByteSource, FilesThatAreNotRead) {
  TemporaryFolder dir;
  const auto open = [](const std::string& path) { return [=] { ByteSource::open(path); }; };
  expect_error<InputError>(open(""), {"empty", "give the path"});
  expect_error<InputError>(open(dir / "none.csv"), {"none.csv", "check the path"});
  expect_error<InputError>(open(dir.path()), {"folder"});
  expect_error<InputError>(open("x/train.h5"), {"train.h5", "CSV or TSV"});
  expect_error<InputError>(open("x/train.parquet"), {"export"});
}

}  // namespace
}  // namespace kdef::data
