// A model and a checkpoint for a small ensemble. The input is a safetensors file without a checksum; it is written
// again with one, so that the checks behind the checksum are reached.
#include "kdef/train/checkpoint.h"

#include "fuzz/fuzz.h"
#include "tests/kdef/small_model.h"

namespace kdef {
namespace {

constexpr const char* kIdentity = "mine";

void read(std::string_view input) {
  static test::SmallModel small;
  static nn::Optimizer optimizer(small.model.parameters(), {});
  const SafetensorsFile file(fuzz::put("in.safetensors", input));
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.read(name));
  const std::string checked = fuzz::path("checked.safetensors");
  write_safetensors(checked, tensors, file.metadata());
  if (file.metadata().count("format") == 0) {
    load_model(checked, small.model);
    return;
  }
  const TrainingState state = load_checkpoint(checked, small.model, optimizer, kIdentity);
  fuzz::accepted("a state that was read is written and read again", [&] {
    save_checkpoint(checked, small.model, optimizer, state, kIdentity);
    const TrainingState again = load_checkpoint(checked, small.model, optimizer, kIdentity);
    fuzz::require(again.step == state.step && again.epoch == state.epoch && again.batch == state.batch &&
                      again.learning_rate == state.learning_rate && again.window == state.window,
                  "the state comes back");
  });
}

}  // namespace
}  // namespace kdef

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::read);
}
