// An encoded file. Its checksums are recomputed, so that the checks behind them are reached; what is accepted can be
// read row by row and loaded in batches.
#include "data/encode/cache.h"

#include <cstring>

#include "data/feed/batching.h"
#include "fuzz/fuzz.h"

namespace kdef::data {
namespace {

// The places of data/encode/cache.cpp.
constexpr size_t kHeader = 128, kFooter = 16, kIdColumns = 16, kNumericColumns = 24, kExtra = 32, kExtraBytes = 16,
                 kExtras = 4;

template <class T>
T get(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

void put_crc(std::string& bytes, size_t at, uint32_t crc) { std::memcpy(bytes.data() + at, &crc, sizeof(crc)); }

// Sets the checksums of header, blocks and footer, as far as the numbers of the file say where they are.
std::string with_checksums(std::string bytes) {
  if (bytes.size() < kHeader + kFooter) return bytes;
  put_crc(bytes, kHeader - 4, crc32(bytes.data(), kHeader - 4));
  const uint64_t ids = get<uint64_t>(bytes, kIdColumns), numbers = get<uint64_t>(bytes, kNumericColumns);
  const size_t footer = bytes.size() - kFooter, body = footer - kHeader;
  const uint64_t rows = get<uint64_t>(bytes, footer);
  uint64_t words = 1;
  for (size_t i = 0; i < kExtras; ++i) words += bytes[kExtra + i * kExtraBytes] != 0;
  uint32_t crc_of_blocks = 0;
  if (ids <= body && numbers <= body && rows <= body) {
    const uint64_t row = 4 * (words + ids + numbers), all = rows * row;
    const uint64_t blocks = static_cast<uint64_t>(blocks_of(static_cast<int64_t>(rows)));
    if (all + 4 * blocks <= body) {
      for (uint64_t b = 0; b < blocks; ++b) {
        const uint64_t first = b * kBlockRows, count = std::min<uint64_t>(kBlockRows, rows - first);
        put_crc(bytes, footer - 4 * (blocks - b), crc32(bytes.data() + kHeader + first * row, count * row));
      }
      crc_of_blocks = crc32(bytes.data() + footer - 4 * blocks, 4 * blocks);
    }
  }
  put_crc(bytes, footer + 12, crc32(bytes.data() + footer, 12, crc_of_blocks));
  return bytes;
}

// A map of as many columns: every categorical field has the ids 0 to 9.
FeatureMap map_of(const RowLayout& layout) {
  FeatureMap map;
  for (int64_t i = 0; i < layout.id_columns; ++i) {
    Field field;
    field.name = cat("c", i);
    field.vocab_size = 10;
    map.fields.push_back(field);
  }
  for (int64_t i = 0; i < layout.numeric_columns; ++i) {
    Field field;
    field.name = cat("n", i);
    field.type = FieldType::numeric;
    map.fields.push_back(field);
  }
  return map;
}

void read(std::string_view input) {
  const EncodedFile file(fuzz::put("in.kdefbin", with_checksums(std::string(input))));
  file.verify();
  if (file.row_bytes() > 4096) return;
  file.verify(map_of(file.layout()));
  if (file.rows() > 1000) return;
  Loader loader(file, 3, true, 1);
  loader.start_epoch(0);
  Batch batch;
  int64_t rows = 0;
  while (loader.next(batch)) rows += batch.rows;
  fuzz::require(rows == file.rows(), "an epoch has every row once");
}

}  // namespace
}  // namespace kdef::data

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::data::read);
}
