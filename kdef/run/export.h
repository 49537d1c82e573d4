// Exports a trained run without the state of its training: the ensemble, or one student with the embedding it reads.
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
  Evaluation run_valid, valid;  // recorded evaluations: of the run's ensemble, of the exported model
  std::optional<Evaluation> run_test, test;
};

/// Writes a run directory that predicts and evaluates like `student` of `run`: "best" (by the main metric of the
/// validation data in result.json), a number from 1, or "ensemble". It holds config.yaml, the vocabulary,
/// model.safetensors (a student's under the names of a model with one network) and result.json. The directory gets its
/// name by one rename, once all of it is on disk. Throws InputError if the training has not finished, if there is no
/// such student, if the students' output layers are not trained (concat), or if `out` is there and is no empty folder.
Exported export_run(const std::string& run, const std::string& student, const std::string& out);

/// Writes `student`, chosen as above, as one safetensors file with the names, shapes and types of the state_dict of
/// FuxiCTR's class of its network (kdef/method/state_dict.h); a table that fields share stands there under the name of
/// each. The class's load_state_dict(strict=False) takes it: only index tables that the class makes itself are missing.
/// `vocabulary`: the feature_vocab.json of FuxiCTR in whose order the rows of the tables are to stand; empty: in this
/// program's. Throws InputError as above, for a network that is no class of FuxiCTR, and for a file that
/// is there unless `overwrite` is set.
Exported export_state_dict(const std::string& run, const std::string& student, const std::string& vocabulary,
                           const std::string& path, bool overwrite = false);

/// Throws InputError if there is a file of that name, unless `overwrite` is set.
void refuse_to_replace(const std::string& path, bool overwrite);

}  // namespace kdef
