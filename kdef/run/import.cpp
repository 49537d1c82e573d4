#include "kdef/run/import.h"

#include <algorithm>
#include <set>

#include "core/base/names.h"
#include "core/io/file.h"
#include "core/io/safetensors.h"
#include "core/io/staged_folder.h"
#include "kdef/method/state_dict.h"
#include "kdef/run/feature_vocab.h"
#include "kdef/run/run.h"
#include "kdef/train/checkpoint.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

// The tensors of a model under their names in the file.
std::vector<std::pair<std::string, Tensor>> named_tensors(const Ensemble& model) {
  std::vector<std::pair<std::string, Tensor>> all;
  for (const nn::Parameter& p : model.parameters()) {
    all.emplace_back(name_in_fuxictr(model.config(), p.name), p.tensor.detach());
  }
  for (const nn::Buffer& b : model.buffers()) all.emplace_back(name_in_fuxictr(model.config(), b.name), b.tensor);
  return all;
}

void check_shape(const SafetensorsFile& file, const std::string& name, const Tensor& tensor) {
  if (!file.has(name)) {
    throw InputError(cat(file.path(), ": has no tensor '", name, "'", did_you_mean(name, file.names()),
                         "; it was made with another model or with other keys"));
  }
  if (file.shape(name) == tensor.shape() && is_floating(file.dtype(name))) return;
  const bool is_table = name.find("embedding_layers.") != std::string::npos;
  throw InputError(cat(file.path(), ": tensor '", name, "' is ", name_of(file.dtype(name)), " ", file.shape(name),
                       ", this experiment needs ", name_of(tensor.dtype()), " ", tensor.shape(),
                       is_table ? "; rows are the vocabulary of the training data: use the same rows, min_categr_count "
                                  "and fill_na, and the same embedding_dim"
                                : "; use the keys that it was made with"));
}

void load(const SafetensorsFile& file, const std::vector<nn::EmbeddingField>& fields, const RowOrder& order,
          const Ensemble& model) {
  const auto tensors = named_tensors(model);
  std::set<std::string> known;
  for (const auto& [name, tensor] : tensors) {
    check_shape(file, name, tensor);
    known.insert(name);
  }
  for (const auto& [name, tensor] : shared_tables(model, fields)) known.insert(name);
  for (const std::string& name : file.names()) {
    if (known.count(name) != 0 || is_constant_in_fuxictr(name)) continue;
    throw InputError(cat(file.path(), ": tensor '", name,
                         "' is not part of this experiment's model; use the model and "
                         "the keys that it was made with"));
  }
  for (const auto& [name, tensor] : tensors) {
    Tensor t = tensor;
    t.copy_from(order.to_ours(name, file.read(name)).to(tensor.dtype()));
    if (!is_finite(t)) throw InputError(cat(file.path(), ": tensor '", name, "' has a value that is no number"));
  }
}

}  // namespace

Imported import_weights(const ExperimentConfig& config, const std::string& weights, const std::string& vocabulary,
                        const std::string& out) {
  if (out.empty()) throw InputError("the name of the directory to write is empty; give --out DIR");
  const SafetensorsFile file(weights);
  StagedFolder folder(out);
  const std::string cache = cache_directory(config);
  const data::PreparedData data = data::prepare_and_open(config.dataset, cache);
  if (!data.valid) {
    throw InputError(cat("data set '", config.dataset_id, "' has no valid_data; a run holds their evaluation"));
  }
  const std::vector<nn::EmbeddingField> fields = embedding_fields(data.summary.map);
  nn::Builder build = nn::Builder::zeros();
  const Ensemble model(config.model, fields, build);
  load(file, fields, read_row_order(vocabulary, data::Encoder::parse(data.vocabulary, cache)), model);
  Imported result;
  if (vocabulary.empty() && !file.checked()) {
    result.warnings.push_back(
        cat(weights,
            ": the rows of its tables are taken in the order of this program's ids: words by falling count, equal "
            "counts by their bytes. FuxiCTR orders words of equal count otherwise; give --vocabulary "
            "feature_vocab.json, which says what each row is"));
  }
  result.parameters = model.parameter_count();
  const Measures measures{config.training.metrics};
  result.valid = evaluate(model, *data.valid, config.training.batch_size, measures);
  if (data.test) result.test = evaluate(model, *data.test, config.training.batch_size, measures);
  const RunFiles staged(folder.path());
  write_file(staged.vocabulary(), data.vocabulary);
  save_model(staged.model(), model, {{"format", "kdef model 1"}, {"step", "0"}, {"imported", weights}});
  write_file(staged.result(), result_json(result.valid, result.test ? &*result.test : nullptr));
  write_file(staged.config(), to_yaml(config));
  folder.commit();
  return result;
}

}  // namespace kdef
