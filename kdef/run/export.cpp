#include "kdef/run/export.h"

#include <cmath>
#include <limits>
#include <map>

#include "core/base/names.h"
#include "core/base/text.h"
#include "core/io/file.h"
#include "core/io/safetensors.h"
#include "core/io/staged_folder.h"
#include "data/encode/feature_map.h"
#include "kdef/method/state_dict.h"
#include "kdef/run/feature_vocab.h"
#include "kdef/run/record.h"
#include "kdef/run/run.h"
#include "kdef/train/run_files.h"

namespace kdef {
namespace {

// The student's number from 1; 0 for the ensemble.
size_t find_student(const RunRecord& run, const std::string& name) {
  const size_t count = run.config.model.students.size();
  if (name == "ensemble") return 0;
  size_t number = 0;
  if (name != "best") {
    if (!read_number(name, number) || number < 1 || number > count) {
      throw InputError(cat("--student: expected best, ensemble or a number from 1 to ", count, ", found '", name, "'"));
    }
  }
  if (const EnsembleType& type = ensemble_type(run.config.model.kind); !type.trains_output_layers()) {
    throw InputError(cat(run.directory, ": students of a ", type.name,
                         " ensemble cannot be exported: their output layers are not trained; export the ensemble, or "
                         "train another ensemble: ",
                         ensembles_where([](const EnsembleType& t) { return t.trains_output_layers(); })));
  }
  if (name == "best") {
    const Metric metric = main_metric(*run.valid);
    double best = std::numeric_limits<double>::quiet_NaN();
    for (size_t k = 0; k < count; ++k) {
      const double value = run.valid->students.at(k)[metric];
      if (std::isnan(value) || (number > 0 && !metric.better(value, best))) continue;
      best = value;
      number = k + 1;
    }
    if (number == 0) {
      throw InputError(cat(run.directory, ": the validation ", metric.title(),
                           " of its students is undefined; name one student by its number"));
    }
  }
  return number;
}

// The evaluation of a student, in the form of a model with one network.
Evaluation of_student(const Evaluation& all, size_t student) {
  const Quality q = all.students.at(student - 1);
  return {.ensemble = q, .students = {q}, .rows = all.rows, .positives = all.positives};
}

void copy_student(const Ensemble& from, size_t student, Ensemble& to) {
  std::map<std::string, Tensor> tensors;
  for (const nn::Parameter& p : from.parameters()) tensors.emplace(p.name, p.tensor);
  for (const nn::Buffer& b : from.buffers()) tensors.emplace(b.name, b.tensor);
  const std::string network = "networks.0.", embedding = "embedding_layer.";
  const auto copy = [&](const std::string& name, Tensor t) {
    std::string source = name;
    if (name.starts_with(network)) source = cat("networks.", student - 1, ".", name.substr(network.size()));
    if (name.starts_with(embedding) && !from.config().shared_embedding) {
      source = cat("embedding_layers.", student - 1, ".", name.substr(embedding.size()));
    }
    t.copy_from(tensors.at(source).detach());
  };
  for (const nn::Parameter& p : to.parameters()) copy(p.name, p.tensor.detach());
  for (const nn::Buffer& b : to.buffers()) copy(b.name, b.tensor);
}

}  // namespace

namespace {

// What is exported of a run: the student alone, or the run's ensemble.
struct Selection {
  Selection(const std::string& run, const std::string& student)
      : record(finished_run(run)), trained(run), config(trained.config()) {
    const size_t count = trained.model().student_count();
    if (record.valid->students.size() != count || (record.test && record.test->students.size() != count)) {
      const RunFiles files(run);
      throw InputError(cat(files.result(), ": does not have the ", count, " students of ", files.name(files.config())));
    }
    result.student = find_student(record, student);
    result.students = count;
    result.run_parameters = trained.model().parameter_count();
    result.run_valid = result.valid = *record.valid;
    result.run_test = result.test = record.test;
    metadata = {{"exported", cat("ensemble of ", run)}};
    if (result.student > 0) {
      choose_student();
      metadata = {{"exported", cat("student ", result.student, " of ", count, " of ", run)}};
    }
    result.parameters = model().parameter_count();
  }
  const Ensemble& model() const { return alone ? *alone : trained.model(); }

  RunRecord record;
  Run trained;
  ExperimentConfig config;
  std::optional<Ensemble> alone;
  Exported result;
  std::map<std::string, std::string> metadata;

 private:
  static RunRecord finished_run(const std::string& run) {
    RunRecord record = read_run(run);
    if (!record.finished() || !record.model_step) {
      throw InputError(
          cat(run, ": this training has not finished", record.notes.empty() ? "" : ": " + record.notes[0]));
    }
    return record;
  }
  void choose_student() {
    config.id += cat("-student-", result.student);
    config.model.students = {config.model.students.at(result.student - 1)};
    config.model.shared_embedding = true;
    nn::Builder build = nn::Builder::zeros();
    alone.emplace(config.model, embedding_fields(trained.encoder().feature_map()), build);
    copy_student(trained.model(), result.student, *alone);
    result.valid = of_student(*record.valid, result.student);
    if (record.test) result.test = of_student(*record.test, result.student);
  }
};

}  // namespace

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
  std::map<std::string, std::string> metadata = chosen.metadata;
  metadata.insert({{"format", "kdef model 1"}, {"step", std::to_string(*chosen.record.model_step)}});

  const RunFiles staged(folder.path());
  const Exported& result = chosen.result;
  write_file(staged.vocabulary(), data::read_text(RunFiles(run).vocabulary()));
  save_model(staged.model(), chosen.model(), metadata);
  write_file(staged.result(), result_json(result.valid, result.test ? &*result.test : nullptr));
  write_file(staged.config(), to_yaml(chosen.config));
  folder.commit();
  return result;
}

Exported export_state_dict(const std::string& run, const std::string& student, const std::string& vocabulary,
                           const std::string& path) {
  const Selection chosen(run, student);
  if (!is_class_of_fuxictr(chosen.config.model)) {
    throw InputError(
        cat(run, ": ", student == "ensemble" ? "an ensemble" : chosen.config.model.students[0].network,
            " is no class of FuxiCTR, whose names a .safetensors file has; export it as a run: --out DIR"));
  }
  if (exists(path)) throw InputError(cat(path, ": is already there; give the name of a new file"));
  const data::Encoder& encoder = chosen.trained.encoder();
  const RowOrder order = read_row_order(vocabulary, encoder);
  auto tensors = state_dict(chosen.model(), embedding_fields(encoder.feature_map()), *chosen.record.model_step);
  for (auto& [name, tensor] : tensors) tensor = order.to_theirs(name, tensor);
  write_safetensors(path, tensors, chosen.metadata);
  return chosen.result;
}

}  // namespace kdef
