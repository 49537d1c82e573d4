// .npz files: every array that is accepted gives all of its rows, or says why not.
#include "data/raw/npz_reader.h"

#include "fuzz/columns.h"

namespace kdef::data {
namespace {

void read(std::string_view input) {
  const std::string path = fuzz::put("rows.npz", input);
  read_columns([&] { return std::make_unique<NpzReader>(path); });
}

}  // namespace
}  // namespace kdef::data

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::data::read);
}
