#include "data/encode/cache.h"

#include <cstring>

#include "tests/data/support.h"

namespace kdef::data {
namespace {

// Row r: ids r % 7 and r % 5, one number, label r % 2.
Batch numbered_rows(int64_t first, int64_t rows) {
  Batch batch;
  batch.resize(rows, {2, 1});
  for (int64_t b = 0; b < rows; ++b) {
    const int64_t r = first + b;
    batch.ids[static_cast<size_t>(2 * b)] = static_cast<int32_t>(r % 7);
    batch.ids[static_cast<size_t>(2 * b + 1)] = static_cast<int32_t>(r % 5);
    batch.numerics[static_cast<size_t>(b)] = static_cast<float>(r) / 2;
    batch.labels[static_cast<size_t>(b)] = static_cast<float>(r % 2);
  }
  return batch;
}

constexpr size_t kHeaderBytes = 128;
constexpr int64_t kRows = 2 * kBlockRows + 100;

std::string write_rows(const TemporaryFolder& dir) {
  const std::string path = dir / "rows.kdefbin";
  EncodedWriter writer(path, {2, 1});
  for (int64_t first = 0; first < kRows; first += 1500)
    writer.append(numbered_rows(first, std::min<int64_t>(1500, kRows - first)));
  EXPECT_EQ(writer.rows(), kRows);
  EXPECT_FALSE(std::filesystem::exists(path));
  writer.commit();
  return path;
}

FeatureMap map_of(int64_t first_size, int64_t second_size) {
  FeatureMap map;
  map.fields = {{.name = "a", .vocab_size = first_size},
                {.name = "b", .vocab_size = second_size},
                {.name = "n", .type = FieldType::numeric}};
  return map;
}

TEST(Cache, RoundTrip) {
  TemporaryFolder dir;
  const EncodedFile file(write_rows(dir));
  ASSERT_EQ(file.rows(), kRows);
  ASSERT_EQ(file.id_columns(), 2);
  ASSERT_EQ(file.numeric_columns(), 1);
  for (int64_t r = 0; r < kRows; ++r) {
    ASSERT_EQ(file.ids(r)[0], r % 7);
    ASSERT_EQ(file.ids(r)[1], r % 5);
    ASSERT_EQ(file.numerics(r)[0], static_cast<float>(r) / 2);
    ASSERT_EQ(file.label(r), static_cast<float>(r % 2));
  }
  file.verify();
  file.verify(map_of(7, 5));
}

TEST(Cache, IdsOutsideOfTheTable) {
  TemporaryFolder dir;
  const EncodedFile file(write_rows(dir));
  expect_error<InputError>([&] { file.verify(map_of(7, 4)); }, {"rows.kdefbin", "field b", "id 4", "[0, 4)"});
  FeatureMap fewer = map_of(7, 5);
  fewer.fields.pop_back();
  expect_error<InputError>([&] { file.verify(fewer); }, {"1 numeric", "asks for 2 and 0", "prepare"});
}

TEST(Cache, EveryTruncationIsNoticed) {
  TemporaryFolder dir;
  const std::string bytes = read_file(write_rows(dir));
  for (size_t length : {size_t{0}, size_t{10}, size_t{63}, size_t{64}, size_t{127}, size_t{128}, size_t{80},
                        bytes.size() / 2, bytes.size() - 16, bytes.size() - 4, bytes.size() - 1}) {
    const std::string path = dir.file("t.kdefbin", bytes.substr(0, length));
    expect_error<InputError>([&] { EncodedFile{path}; }, {"t.kdefbin", "truncated", "prepare"});
  }
}

TEST(Cache, EveryFlippedBitIsNoticed) {
  TemporaryFolder dir;
  const std::string bytes = read_file(write_rows(dir));
  for (size_t at = 0; at < bytes.size(); at += at < kHeaderBytes || at + 40 > bytes.size() ? 1 : 997) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 16);
    const std::string path = dir.file("d.kdefbin", damaged);
    EXPECT_THROW(EncodedFile(path).verify(), InputError) << "byte " << at;
  }
}

TEST(Cache, ForeignAndMissingFiles) {
  TemporaryFolder dir;
  expect_error<InputError>([&] { EncodedFile(dir.file("f", std::string(500, 'x'))); }, {"not an encoded file"});
  expect_error<InputError>([&] { EncodedFile(dir / "none"); }, {"none", "prepare the data first"});
  expect_error<InputError>([&] { EncodedFile{dir.path()}; }, {"not a regular file"});
  expect_error<InputError>([&] { EncodedFile(dir.file("s", "KDEFBIN")); }, {"too short"});
  std::string newer = read_file(write_rows(dir));
  newer[12] = 9;
  expect_error<InputError>([&] { EncodedFile(dir.file("v", newer)); }, {"version 9", "version 2"});
}

TEST(Cache, AMoveTakesEverything) {
  TemporaryFolder dir;
  EncodedFile file(write_rows(dir));
  const uint32_t fingerprint = file.fingerprint();
  ASSERT_NE(fingerprint, 0u);
  EncodedFile moved(std::move(file));
  EXPECT_EQ(moved.fingerprint(), fingerprint);
  EXPECT_EQ(moved.rows(), kRows);
  moved.verify(map_of(7, 5));
  EXPECT_EQ(file.rows(), 0);  // nothing is left to be read through the file that was moved from
  EXPECT_EQ(file.fingerprint(), 0u);
  file.verify();
}

// A header whose checksum is right names columns that no file can have.
TEST(Cache, ImpossibleColumnsInTheHeader) {
  TemporaryFolder dir;
  const std::string bytes = read_file(write_rows(dir));
  constexpr size_t kIdColumns = 16, kNumericColumns = 24, kHeaderCrc = kHeaderBytes - 4;  // offsets in the header
  for (size_t at : {kIdColumns, kNumericColumns}) {
    for (int64_t columns : {int64_t{-1}, int64_t{-4}, int64_t{1} << 62, INT64_MIN}) {
      std::string wrong = bytes;
      std::memcpy(wrong.data() + at, &columns, sizeof(columns));
      const uint32_t crc = crc32(wrong.data(), kHeaderCrc);
      std::memcpy(wrong.data() + kHeaderCrc, &crc, sizeof(crc));
      expect_error<InputError>([&] { EncodedFile(dir.file("w.kdefbin", wrong)); },
                               {"w.kdefbin", "the header names " + std::to_string(columns), "prepare"});
    }
  }
}

TEST(Cache, ExtraColumns) {
  TemporaryFolder dir;
  const RowLayout layout{2, 1, true, true};
  Batch batch = numbered_rows(0, 10);
  batch.weights.assign(10, 0.5f);
  batch.groups.assign(10, (int64_t{1} << 31) - 1);
  EncodedWriter writer(dir / "x.kdefbin", layout);
  writer.append(batch);
  EXPECT_THROW(writer.append(numbered_rows(0, 10)), Error);
  writer.commit();
  const EncodedFile file(dir / "x.kdefbin");
  EXPECT_EQ(file.layout(), layout);
  file.verify(map_of(7, 5));
  EXPECT_EQ(file.weight(3), 0.5f);
  EXPECT_EQ(file.group(3), (int64_t{1} << 31) - 1);
  EXPECT_EQ(file.label(3), 1);

  // A column of a later version of the format.
  std::string bytes = read_file(dir / "x.kdefbin");
  bytes.replace(bytes.find("weight"), 6, "offset");
  const uint32_t crc = crc32(bytes.data(), kHeaderBytes - 4);
  std::memcpy(bytes.data() + kHeaderBytes - 4, &crc, sizeof(crc));
  expect_error<InputError>([&] { EncodedFile(dir.file("y.kdefbin", bytes)); }, {"y.kdefbin", "extra column"});
}

TEST(Cache, WeightsAreVerified) {
  TemporaryFolder dir;
  Batch batch = numbered_rows(0, 10);
  batch.weights.assign(10, 1);
  batch.weights[4] = -2;
  EncodedWriter writer(dir / "x.kdefbin", {2, 1, true, false});
  writer.append(batch);
  writer.commit();
  expect_error<InputError>([&] { EncodedFile(dir / "x.kdefbin").verify(map_of(7, 5)); }, {"row 4", "weight -2"});
}

TEST(Cache, AnAbandonedWriterLeavesNothing) {
  TemporaryFolder dir;
  { EncodedWriter(dir / "x.kdefbin", {2, 1}).append(numbered_rows(0, 10)); }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace kdef::data
