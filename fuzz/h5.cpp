// HDF5 files: every dataset that is accepted gives all of its rows, or says why not.
#include "data/raw/h5_reader.h"

#include "fuzz/columns.h"

namespace kdef::data {
namespace {

void read(std::string_view input) {
  const std::string path = fuzz::put("rows.h5", input);
  read_columns([&] { return std::make_unique<H5Reader>(path); });
}

}  // namespace
}  // namespace kdef::data

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::data::read);
}
