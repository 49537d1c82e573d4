// vocabulary.kdefvoc. Its checksum is recomputed, so that the checks behind it are reached; what is accepted encodes
// rows, and is written and read back as the same.
#include <cstring>

#include "core/io/file.h"
#include "data/encode/encoder.h"
#include "data/encode/feature_map.h"
#include "data/raw/memory_rows.h"
#include "fuzz/fuzz.h"

namespace kdef::data {
namespace {

std::string with_checksum(std::string bytes) {
  if (bytes.size() < 24) return bytes;
  const uint32_t crc = crc32(bytes.data(), bytes.size() - 4);
  std::memcpy(bytes.data() + bytes.size() - 4, &crc, 4);
  return bytes;
}

void encode(const Encoder& encoder, std::unique_ptr<RowSource> source) {
  RawFile rows(encoder, std::move(source), false);
  Batch batch;
  while (rows.next(batch)) {
    for (size_t i = 0; i < batch.ids.size(); ++i) fuzz::require(batch.ids[i] >= 0, "ids are not negative");
  }
}

void read(std::string_view input) {
  const Encoder encoder = Encoder::parse(with_checksum(std::string(input)), "vocabulary");
  const std::string copy = fuzz::path("copy.kdefvoc");
  fuzz::accepted("a vocabulary that was read is written and read again", [&] {
    encoder.save(copy);
    const Encoder again = Encoder::load(copy);
    fuzz::require(to_json(again.feature_map()) == to_json(encoder.feature_map()), "the copy has the same feature map");
    fuzz::require(again.layout() == encoder.layout(), "the copy has the same layout");
  });
  if (encoder.id_columns() > 4096) return;
  std::vector<std::string> names;
  std::vector<std::string_view> cells;
  for (const Encoder::Column& column : encoder.columns()) {
    names.push_back(column.cells.field().name);
    cells.push_back(cells.size() % 2 == 0 ? "1" : "a^b");
  }
  encode(encoder, open_rows(fuzz::put("rows.csv", "a;1,b\n2,\"3\n4\"\n"), encoder.config()));
  encode(encoder, std::make_unique<MemoryRows>(names, cells));
}

}  // namespace
}  // namespace kdef::data

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::data::read);
}
