// A recording that `kdef audit --fixture` replays: metrics, losses, networks or a training.
#include "fuzz/fuzz.h"
#include "kdef/audit/audit.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, [](std::string_view input) {
    const bool fused = input.size() % 2 == 0;
    kdef::audit_fixture(kdef::fuzz::put("in.safetensors", input), fused, kdef::kCpu);
  });
}
