// Tuner files. An input of three parts is the tuner file, model_config.yaml and dataset_config.yaml; the base may also
// stand in the file. What is accepted has distinct names and a value of every key for every experiment.
#include <set>

#include "core/base/error.h"
#include "fuzz/fuzz.h"
#include "kdef/config/tuner.h"

namespace kdef {
namespace {

void read(std::string_view input) {
  const std::vector<std::string> files = fuzz::parts(input, 3);
  std::filesystem::create_directories(fuzz::path("base"));
  fuzz::put("base/model_config.yaml", files.size() > 1 ? files[1] : "");
  fuzz::put("base/dataset_config.yaml", files.size() > 2 ? files[2] : "");
  const TunerFile tuner(fuzz::put("tuner.yaml", files[0]), fuzz::path("base"));
  fuzz::accepted("a tuner file that was read has a list of experiments", [&] {
    std::set<std::string> names;
    for (const TunerFile::Experiment& e : tuner.experiments()) {
      names.insert(e.id);
      fuzz::require(e.values.size() == tuner.keys().size(), "an experiment has a value of every key");
    }
    fuzz::require(!names.empty() && names.size() == tuner.experiments().size(), "names are distinct");
  });
  const ExperimentConfig config = tuner.load(tuner.experiments().size() - 1);
  fuzz::accepted("an experiment that was loaded has its name",
                 [&] { fuzz::require(config.id == tuner.experiments().back().id, "the name of the experiment"); });
}

}  // namespace
}  // namespace kdef

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return kdef::fuzz::run(data, size, kdef::read);
}
