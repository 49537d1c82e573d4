// .npz files: every array that is accepted gives all of its rows, or says why not.
#include "data/raw/npz_reader.h"

#include "fuzz/fuzz.h"

namespace kdef::data {
namespace {

void read(std::string_view input) {
  NpzReader all(fuzz::put("rows.npz", input));
  for (const std::string& name : all.columns()) {
    NpzReader one(fuzz::path("rows.npz"));
    one.select({name});
    int64_t rows = 0;
    for (Chunk chunk; one.read(chunk); rows += chunk.rows()) {
      one.parse(chunk);
      const TypedColumn& column = *chunk.typed_column(0);
      fuzz::require(column.end(chunk.rows() - 1) == static_cast<int64_t>(column.values->size()),
                    "every value is in a row");
      Values::Scratch scratch;
      for (int64_t i = 0; i < static_cast<int64_t>(column.values->size()); ++i) column.cell(i, scratch);
    }
    fuzz::require(rows == one.lines(), "as many rows as the array has");
  }
}

}  // namespace
}  // namespace kdef::data

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::data::read);
}
