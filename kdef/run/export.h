// A trained run without what only training needs: its ensemble, or one student with the embedding that it reads.
#pragma once

#include <optional>
#include <string>

#include "kdef/measure/evaluation.h"

namespace kdef {

struct Exported {
  size_t student = 0;           // from 1; 0: the ensemble
  size_t students = 0;          // of the run
  int64_t parameters = 0;       // of what was exported
  int64_t run_parameters = 0;   // of the run's model
  Evaluation run_valid, valid;  // as the run recorded them: of its ensemble, of what was exported
  std::optional<Evaluation> run_test, test;
};

/// Writes the directory of a run that predicts and evaluates as `student` of `run` does: "best" (by the validation AUC
/// of result.json), a number from 1, or "ensemble". It holds config.yaml, the vocabulary, model.safetensors (a
/// student's under the names of a model with one network) and result.json. config.yaml is written last: without it, a
/// directory is no run. Throws InputError where the run is not trained to its end, has no such student, where its
/// students' output layers are untrained (concat), and where `out` holds a run already.
Exported export_run(const std::string& run, const std::string& student, const std::string& out);

}  // namespace kdef
