// feature_map.json: what is accepted is written and read back as the same.
#include "data/encode/feature_map.h"

#include "data/batch.h"
#include "fuzz/fuzz.h"

namespace kdef::data {
namespace {

void read(std::string_view input) {
  const FeatureMap map = parse_feature_map(std::string(input), "feature_map.json");
  layout_of(map);
  fuzz::accepted("a map that was read is written and read again", [&] {
    const std::string text = to_json(map);
    fuzz::require(to_json(parse_feature_map(text, "copy")) == text, "the copy is the same map");
  });
}

}  // namespace
}  // namespace kdef::data

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::data::read);
}
