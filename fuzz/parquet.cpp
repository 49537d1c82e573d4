// Parquet files: every column that is accepted gives all of its rows, or says why not. A program without Arrow refuses
// every file.
#include "data/raw/parquet.h"

#include "fuzz/columns.h"

namespace kdef::data {
namespace {

void read(std::string_view input) {
  const std::string path = fuzz::put("rows.parquet", input);
  read_columns([&] { return open_parquet(path); });
}

}  // namespace
}  // namespace kdef::data

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::data::read);
}
