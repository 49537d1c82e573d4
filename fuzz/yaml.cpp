// Configurations. An input of two parts is model_config.yaml and dataset_config.yaml with the experiment E; one of one
// part is the config.yaml of a run. What is accepted is written, and read back as the same.
#include "fuzz/fuzz.h"
#include "kdef/config/config.h"

namespace kdef {
namespace {

ExperimentConfig load(const std::vector<std::string>& files) {
  if (files.size() == 1) return load_resolved(fuzz::put("config.yaml", files[0]));
  std::filesystem::create_directories(fuzz::path("config"));
  fuzz::put("config/model_config.yaml", files[0]);
  fuzz::put("config/dataset_config.yaml", files[1]);
  return load_experiment(fuzz::path("config"), "E");
}

void read(std::string_view input) {
  const ExperimentConfig config = load(fuzz::parts(input, 2));
  fuzz::accepted("a configuration that was read is written and read again", [&] {
    const std::string text = to_yaml(config);
    const ExperimentConfig again = load_resolved(fuzz::put("copy.yaml", text));
    fuzz::require(to_yaml(again) == text, "the copy is the same configuration");
    fuzz::require(differences(config, again).empty(), "the copy shapes the same results");
  });
}

}  // namespace
}  // namespace kdef

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::read);
}
