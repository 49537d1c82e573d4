// A model file. Its checksums are recomputed, so that the checks behind them are reached; what is accepted scores rows.
#include "kdef/run/model_file.h"

#include <cstring>
#include <memory>

#include "core/io/file.h"
#include "data/raw/memory_rows.h"
#include "fuzz/fuzz.h"
#include "kdef/run/run.h"
#include "kdef/serve/scorer.h"

namespace kdef {
namespace {

template <class T>
T at(const char* bytes, size_t place) {
  T value;
  std::memcpy(&value, bytes + place, sizeof value);
  return value;
}

// docs/model-file.md names the places.
void put_checksums(char* bytes, size_t size) {
  constexpr size_t kHeader = 32, kEntry = 40, kMost = 64;
  if (size < kHeader) return;
  const uint64_t whole = size;
  std::memcpy(bytes + 16, &whole, sizeof whole);
  const size_t sections = at<uint32_t>(bytes, 12);
  if (sections > kMost || kHeader + sections * kEntry > size) return;
  for (size_t i = 0; i < sections; ++i) {
    char* entry = bytes + kHeader + i * kEntry;
    const auto first = at<uint64_t>(entry, 16), length = at<uint64_t>(entry, 24);
    if (first > size || length > size - first) continue;
    const uint32_t crc = crc32(bytes + first, length);
    std::memcpy(entry + 32, &crc, sizeof crc);
  }
  const uint32_t crc = crc32(bytes + kHeader, sections * kEntry, crc32(bytes, 24));
  std::memcpy(bytes + 24, &crc, sizeof crc);
}

void read(std::string_view input) {
  const auto aligned = std::make_unique<uint64_t[]>(input.size() / 8 + 1);
  char* bytes = reinterpret_cast<char*>(aligned.get());
  std::memcpy(bytes, input.data(), input.size());
  put_checksums(bytes, input.size());
  const Run run = Run::of_bytes({bytes, input.size()}, "model");
  const data::Encoder& encoder = run.encoder();
  if (encoder.id_columns() > 4096 || run.model().parameter_count() > 1000000) return;
  std::vector<std::string> names;
  std::vector<std::string_view> cells;
  for (const data::Encoder::Column& column : encoder.columns()) {
    names.push_back(column.cells.field().raw_column());
    cells.push_back(cells.size() % 2 == 0 ? "1" : "a^b");
  }
  data::RawFile rows(encoder, std::make_unique<data::MemoryRows>(names, cells), false);
  const Scorer scorer(run.model(), {.fold_mib = 1});
  data::Batch batch;
  while (rows.next(batch)) {
    for (const int32_t id : batch.ids) fuzz::require(id >= 0, "ids are not negative");
    predict(scorer, model_input(batch, encoder.id_columns(), encoder.numeric_columns()));
  }
}

}  // namespace
}  // namespace kdef

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::read);
}
