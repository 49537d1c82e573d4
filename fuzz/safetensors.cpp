// A safetensors file: what is accepted can be read, written, and read back with the same bits.
#include "core/io/safetensors.h"

#include <cstring>

#include "fuzz/fuzz.h"

namespace kdef {
namespace {

void same(const Tensor& a, const Tensor& b) {
  fuzz::require(a.dtype() == b.dtype() && a.shape() == b.shape(), "a tensor comes back with its type and shape");
  const size_t bytes = static_cast<size_t>(a.numel()) * size_of(a.dtype());
  fuzz::require(bytes == 0 || std::memcmp(a.raw(), b.raw(), bytes) == 0, "a tensor comes back with its bits");
}

void read(std::string_view input) {
  const SafetensorsFile file(fuzz::put("in.safetensors", input));
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.read(name));
  const std::string copy = fuzz::path("copy.safetensors");
  fuzz::accepted("a file that was read is written and read again", [&] {
    write_safetensors(copy, tensors, file.metadata());
    const SafetensorsFile again(copy);
    fuzz::require(again.checked() && again.names() == file.names() && again.values() == file.values(),
                  "the copy has the same tensors");
    for (const auto& [name, tensor] : tensors) same(tensor, again.read(name));
  });
}

}  // namespace
}  // namespace kdef

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::read);
}
