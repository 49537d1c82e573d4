#include "kdef/run/selection.h"

#include <cmath>
#include <limits>

#include "core/base/text.h"
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

RunRecord finished_run(const std::string& run) {
  RunRecord record = read_run(run);
  if (!record.finished() || !record.model_step) {
    throw InputError(cat(run, ": this training has not finished", record.notes.empty() ? "" : ": " + record.notes[0]));
  }
  return record;
}

}  // namespace

Selection::Selection(const std::string& run, const std::string& student)
    : record_(finished_run(run)), run_(run), config_(run_.config()) {
  const size_t count = run_.model().student_count();
  if (record_.valid->students.size() != count || (record_.test && record_.test->students.size() != count)) {
    const RunFiles files(run);
    throw InputError(cat(files.result(), ": does not have the ", count, " students of ", files.name(files.config())));
  }
  result_.student = find_student(record_, student);
  result_.students = count;
  result_.run_parameters = run_.model().parameter_count();
  result_.run_valid = result_.valid = *record_.valid;
  result_.run_test = result_.test = record_.test;
  metadata_ = {{"exported", cat("ensemble of ", run)}};
  if (result_.student > 0) {
    choose_student();
    metadata_ = {{"exported", cat("student ", result_.student, " of ", count, " of ", run)}};
  }
  result_.parameters = model().parameter_count();
}

void Selection::choose_student() {
  config_.id += cat("-student-", result_.student);
  config_.model.students = {config_.model.students.at(result_.student - 1)};
  config_.model.shared_embedding = true;
  nn::Builder build = nn::Builder::zeros();
  alone_.emplace(config_.model, embedding_fields(encoder().feature_map()), build);
  copy_student(run_.model(), result_.student, *alone_);
  result_.valid = of_student(*record_.valid, result_.student);
  if (record_.test) result_.test = of_student(*record_.test, result_.student);
}

}  // namespace kdef
