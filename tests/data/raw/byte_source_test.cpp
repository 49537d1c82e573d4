#include "data/raw/byte_source.h"

#include <sys/stat.h>

#include <fstream>
#include <memory>
#include <set>
#include <thread>

#include "data/raw/content_hash.h"
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

TEST(ByteSource, TheContentDecidesTheCompression) {
  TemporaryFolder dir;
  const std::string plain = text();
  EXPECT_EQ(read_all(dir.file("a.csv", plain)), plain);
  for (size_t piece : {size_t{1} << 20, size_t{4099}}) {
    EXPECT_EQ(read_all(dir.file("a.csv.gz", gzip(plain)), piece), plain);
    EXPECT_EQ(read_all(dir.file("a.csv.zst", zstd(plain)), piece), plain);
    EXPECT_EQ(read_all(dir.file("b.csv", gzip(plain)), piece), plain);
    EXPECT_EQ(read_all(dir.file("b.GZ", zstd(plain)), piece), plain);
    EXPECT_EQ(read_all(dir.file("b.gz", plain), piece), plain);
    EXPECT_EQ(read_all(dir.file("c", zstd(gzip(plain))), piece), plain);
  }
}

TEST(ByteSource, MembersAndFramesMayFollowEachOther) {
  TemporaryFolder dir;
  const std::string plain = text(), head = plain.substr(0, 1000), tail = plain.substr(1000);
  EXPECT_EQ(read_all(dir.file("b.gz", gzip(head) + gzip(tail))), plain);
  EXPECT_EQ(read_all(dir.file("b.zst", zstd(head) + zstd(tail))), plain);
  const std::string zeros(5000, '\0'), skipped("\x5A\x2A\x4D\x18\x03\0\0\0abc", 11);
  EXPECT_EQ(read_all(dir.file("c.gz", gzip(head) + gzip(tail) + zeros)), plain);
  EXPECT_EQ(read_all(dir.file("c.zst", skipped + zstd(plain))), plain);
  expect_error<InputError>([&] { read_all(dir.file("d.gz", gzip(head) + "more")); }, {"d.gz", "gzip"});
}

// As zstd --long=31 writes it; the program reads it with --long=31 only.
TEST(ByteSource, LongWindows) {
  TemporaryFolder dir;
  const std::string plain = text();
  std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, 31);
  std::string bytes(ZSTD_compressBound(plain.size()), '\0');
  ZSTD_outBuffer out{bytes.data(), bytes.size(), 0};
  ZSTD_inBuffer in{plain.data(), plain.size(), 0};
  while (in.pos < in.size) ASSERT_FALSE(ZSTD_isError(ZSTD_compressStream2(context.get(), &out, &in, ZSTD_e_continue)));
  ASSERT_EQ(ZSTD_compressStream2(context.get(), &out, &in, ZSTD_e_end), 0u);
  bytes.resize(out.pos);
  EXPECT_EQ(read_all(dir.file("long.zst", bytes)), plain);
}

TEST(ByteSource, StatesTellFilesApart) {
  TemporaryFolder dir;
  const std::string a = dir.file("a", "some bytes"), b = dir.file("b", "some bytes"), c = dir.file("c", "same bytes");
  EXPECT_TRUE(file_state(a).same_as(file_state(a)));
  EXPECT_FALSE(file_state(a).same_as(file_state(b)));
  EXPECT_EQ(content_of(a), content_of(b));
  EXPECT_NE(content_of(a), content_of(c));
  for (const std::string& path : {dir.file("d", text()), dir.file("d.gz", gzip(text()))}) {
    const auto source = ByteSource::open(path);
    std::string block(700, '\0');
    while (source->read(block.data(), block.size()) > 0) continue;
    EXPECT_EQ(source->state().content, content_of(path));
  }
  EXPECT_EQ(ByteSource::open(a)->state().content, content_of(a));
  EXPECT_EQ(ByteSource::open(dir / "d")->state().content, "");  // not read to its end
}

TEST(ByteSource, ContentHashDependsOnEveryByteAndNotOnThePieces) {
  const std::string bytes = text().substr(0, 1000);
  std::set<std::string> seen;
  for (size_t n = 0; n <= 200; ++n) {
    ContentHash whole, pieces;
    whole.update(bytes.data(), n);
    for (size_t at = 0, piece = 1; at < n; at += piece, piece = piece % 70 + 7) {
      piece = std::min(piece, n - at);
      pieces.update(bytes.data() + at, piece);
    }
    EXPECT_EQ(pieces.text(), whole.text()) << n;
    EXPECT_TRUE(seen.insert(whole.text()).second) << n;
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string other = bytes;
    other[at] = static_cast<char>(other[at] ^ 1);
    ContentHash hash;
    hash.update(other.data(), other.size());
    EXPECT_TRUE(seen.insert(hash.text()).second) << at;
  }
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
  const std::string noise("\x01\x02noise\0", 8);
  expect_error<InputError>(read("b.gz", noise), {"b.gz", "gzip"});
  expect_error<InputError>(read("b.zst", noise), {"b.zst", "zstd"});
  expect_error<InputError>(read("c", zst.substr(0, 4) + std::string(100, '\xFF')), {"c: not valid zstd"});
  expect_error<InputError>(read("d", gzip(gzip(gzip("x")))), {"d: is compressed more than 2 times"});
}

TEST(ByteSource, FilesThatAreNotRead) {
  TemporaryFolder dir;
  const auto open = [](const std::string& path) { return [=] { ByteSource::open(path); }; };
  expect_error<InputError>(open(""), {"empty", "give the path"});
  expect_error<InputError>(open(dir / "none.csv"), {"none.csv", "check the path"});
  expect_error<InputError>(open(dir.path()), {"folder"});
  expect_error<InputError>(open("x/train.h5"), {"train.h5", "check the path"});
  expect_error<InputError>(open("x/train.feather"), {"export"});
  const std::string tar = std::string(257, 'a') + std::string("ustar\0", 6) + std::string(300, '\0');
  const std::pair<std::string, std::string> foreign[] = {{std::string("BZh91AY&SY\x01\x02"), "bzip2"},
                                                         {std::string("\xFD"
                                                                      "7zXZ\0",
                                                                      6),
                                                          "xz data"},
                                                         {std::string("PK\x03\x04"), "zip"},
                                                         {tar, "tar archive"},
                                                         {gzip(tar), "tar archive"},
                                                         {std::string("PAR1\x15\x04"), "Parquet"},
                                                         {"\xFF\xFE"
                                                          "a",
                                                          "iconv -f UTF-16"},
                                                         {"\xFE\xFF"
                                                          "a",
                                                          "iconv -f UTF-16"},
                                                         {std::string("\x89HDF\r\n\x1A\n"), "HDF5"}};
  for (const auto& [bytes, words] : foreign) expect_error<InputError>(open(dir.file("f.csv", bytes)), {"f.csv", words});
  EXPECT_EQ(read_all(dir.file("t.csv", "PAR1,ORC\n1,2\n")), "PAR1,ORC\n1,2\n");  // names of columns
}

TEST(ByteSource, Pipes) {
  TemporaryFolder dir;
  const std::string fifo = dir / "fifo", plain = text();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(fifo, std::ios::binary) << gzip(plain); });
  EXPECT_EQ(read_all(fifo), plain);
  writer.join();
  EXPECT_FALSE(file_state(fifo).regular);
  EXPECT_FALSE(file_state(fifo).same_as(file_state(fifo)));
}

}  // namespace
}  // namespace kdef::data
