// feature_vocab.json of FuxiCTR: every id of an accepted file is a whole number under the word of a field.
#include "kdef/run/feature_vocab.h"

#include "fuzz/fuzz.h"

namespace kdef {
namespace {

void read(std::string_view input) { parse_feature_vocab(std::string(input), "feature_vocab.json"); }

}  // namespace
}  // namespace kdef

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::read);
}
