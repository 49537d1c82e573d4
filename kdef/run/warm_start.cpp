#include "kdef/run/warm_start.h"

#include <filesystem>

#include "core/base/error.h"
#include "core/io/file.h"
#include "core/io/safetensors.h"
#include "data/encode/encoder.h"
#include "kdef/run/run_path.h"
#include "kdef/train/run_files.h"

namespace kdef {

WarmStart::WarmStart(const ExperimentConfig& config, const std::string& directory)
    : run_(config.init), with_optimizer_(config.init_optimizer) {
  check_has_model(run_);
  std::error_code absent;
  if (std::filesystem::equivalent(run_, directory, absent)) {
    throw InputError(cat(run_, ": a training cannot write into the run that it starts from; give another --run DIR"));
  }
  const RunFiles files(run_);
  if (!with_optimizer_) return;
  const nn::OptimizerKind was = load_resolved(files.config()).training.optimizer.kind,
                          is = config.training.optimizer.kind;
  if (was != is) {
    throw InputError(cat(run_, ": its optimizer is ", nn::entry_of(was).name, ", and this configuration has ",
                         nn::entry_of(is).name, "; give the same, or init_optimizer=false"));
  }
  if (!exists(files.checkpoint())) {
    throw InputError(
        cat(run_, ": has no ", files.name(files.checkpoint()),
            ", whose optimizer would go on; give init_optimizer=false, or start from a run of kdef train"));
  }
}

void WarmStart::load(const data::FeatureMap& map, Ensemble& model) {
  const data::FeatureMap before = data::Encoder::load(RunFiles(run_).vocabulary()).feature_map();
  KDEF_CHECK(before.fields.size() == map.fields.size(), "WarmStart: ", map.fields.size(), " fields, the run has ",
             before.fields.size());
  for (size_t f = 0; f < map.fields.size(); ++f) {
    const int64_t was = before.fields[f].vocab_size, is = map.fields[f].vocab_size;
    if (is > was) grown_[map.fields[f].name] = {was, is};
  }
  load_model(SafetensorsFile(RunFiles(run_).model()), model, grown_);
}

void WarmStart::load(nn::Optimizer& optimizer) const {
  if (with_optimizer_) load_optimizer(RunFiles(run_).checkpoint(), optimizer, grown_);
}

}  // namespace kdef
