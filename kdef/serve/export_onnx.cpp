#include "kdef/serve/export_onnx.h"

#include "core/io/file.h"
#include "kdef/run/selection.h"

namespace kdef {

namespace {

// What text and raw numbers mean to the model's vocabularies and scales.
void add_words(std::vector<OnnxField>& fields, const data::Encoder& encoder) {
  for (size_t f = 0; f < fields.size(); ++f) {
    const data::Encoder::Column& column = encoder.columns().at(f);
    const data::FieldConfig& config = column.cells.field();
    OnnxField& field = fields[f];
    const bool is_raw = field.is_number ? config.preprocess == data::Preprocess::none : column.cells.verbatim();
    if (config.has_ids()) continue;
    if (!is_raw) {
      throw InputError(
          cat("--words: field '", field.name, "' has ", field.is_number ? "numbers" : "words",
              " that its cells become by a preprocess or as numbers, which an ONNX model does not do; export "
              "without --words, and give it ids"));
    }
    if (field.is_number) {
      field.scaling = {column.shift, column.scale};
      continue;
    }
    OnnxWords& words = field.words.emplace();
    const data::Vocabulary& known = *column.vocabulary;
    words.other = column.vocabulary->out_of_vocabulary();
    if (config.type == data::FieldType::sequence) {
      words.words.emplace_back();
      if (!column.cells.missing().empty()) words.words.push_back(column.cells.missing());
      words.ids.assign(words.words.size(), 0);
    }
    for (int64_t i = 0; i < known.word_count(); ++i) {
      if (!words.ids.empty() && words.ids[0] == 0 && known.word(i).empty()) continue;  // an empty token is padding
      words.words.emplace_back(known.word(i));
      words.ids.push_back(known.id(known.word(i)));
    }
  }
}

}  // namespace

Exported export_onnx(const std::string& run, const std::string& student, const OnnxExport& how,
                     const std::string& path) {
  if (how.words && how.inputs != OnnxOptions::Inputs::named) {
    throw InputError("--words: needs named inputs, which are of different types");
  }
  const Selection chosen(run, student);
  refuse_to_replace(path, how.overwrite);
  const Ensemble& model = chosen.model();
  OnnxOptions options;
  options.inputs = how.inputs;
  options.fields = onnx_fields(model.embedding());
  if (how.words) add_words(options.fields, chosen.encoder());
  options.students = model.student_count() > 1 && ensemble_type(model.config().kind).trains_output_layers();
  options.metadata.assign(chosen.metadata().begin(), chosen.metadata().end());
  options.metadata.emplace_back("task", model.task().name);
  const Graph graph = with_folded_norms(trace(model));
  const ProtoMessage message = onnx_model(graph, options);
  AtomicFile file(path, NamedBy::user);
  message.write([&](const void* data, size_t bytes) { file.write(data, bytes); });
  file.commit();
  return chosen.result();
}

}  // namespace kdef
