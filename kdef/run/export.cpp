#include "kdef/run/export.h"

#include "core/base/names.h"
#include "core/base/text.h"
#include "core/io/file.h"
#include "core/io/safetensors.h"
#include "core/io/staged_folder.h"
#include "data/encode/feature_map.h"
#include "kdef/method/state_dict.h"
#include "kdef/run/feature_vocab.h"
#include "kdef/run/selection.h"
#include "kdef/train/run_files.h"

namespace kdef {

Exported export_run(const std::string& run, const std::string& student, const std::string& out) {
  const Selection chosen(run, student);
  if (out.empty()) throw InputError("the name of the directory to write is empty; give --out DIR");
  const RunFiles files(out);
  std::vector<std::string> there;
  for (const std::string& file : files.all()) {
    if (exists(file)) there.push_back(files.name(file));
  }
  if (!there.empty()) {
    throw InputError(cat(out, ": already holds a run; give the name of a new folder; there are ", joined(there)));
  }
  StagedFolder folder(out);
  std::map<std::string, std::string> metadata = chosen.metadata();
  metadata.insert({{"format", "kdef model 1"}, {"step", std::to_string(*chosen.record().model_step)}});

  const RunFiles staged(folder.path());
  const Exported& result = chosen.result();
  write_file(staged.vocabulary(), data::read_text(RunFiles(run).vocabulary()));
  save_model(staged.model(), chosen.model(), metadata);
  write_file(staged.result(), result_json(result.valid, result.test ? &*result.test : nullptr));
  write_file(staged.config(), to_yaml(chosen.config()));
  folder.commit();
  return result;
}

void refuse_to_replace(const std::string& path, bool overwrite) {
  if (exists(path) && !overwrite) throw InputError(cat(path, ": is already there; give another name, or --overwrite"));
}

Exported export_state_dict(const std::string& run, const std::string& student, const std::string& vocabulary,
                           const std::string& path, bool overwrite) {
  const Selection chosen(run, student);
  if (!is_class_of_fuxictr(chosen.config().model)) {
    throw InputError(
        cat(run, ": ", student == "ensemble" ? "an ensemble" : chosen.config().model.students[0].network,
            " is no class of FuxiCTR, whose names a .safetensors file has; export it as a run: --out DIR"));
  }
  refuse_to_replace(path, overwrite);
  const data::Encoder& encoder = chosen.encoder();
  const RowOrder order = read_row_order(vocabulary, encoder);
  auto tensors = state_dict(chosen.model(), embedding_fields(encoder.feature_map()), *chosen.record().model_step);
  for (auto& [name, tensor] : tensors) tensor = order.to_theirs(name, tensor);
  write_safetensors(path, tensors, chosen.metadata());
  return chosen.result();
}

}  // namespace kdef
