// What an export takes of a run: the ensemble, or one student with the embedding that it reads.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "kdef/run/export.h"
#include "kdef/run/record.h"
#include "kdef/run/run.h"

namespace kdef {

/// A finished run, opened, and the model that is exported of it.
class Selection {
 public:
  /// `student`: "best" (by the main metric of the validation data in result.json), a number from 1, or "ensemble".
  /// Throws InputError if the training has not finished, if there is no such student, or if the students' output layers
  /// are not trained (concat).
  Selection(const std::string& run, const std::string& student);

  const Ensemble& model() const { return alone_ ? *alone_ : run_.model(); }
  /// The configuration of that model, as of a run with this model alone.
  const ExperimentConfig& config() const { return config_; }
  const data::Encoder& encoder() const { return run_.encoder(); }
  const RunRecord& record() const { return record_; }
  const Exported& result() const { return result_; }
  /// Where the model comes from, for the metadata of a file: "exported".
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  void choose_student();

  RunRecord record_;
  Run run_;
  ExperimentConfig config_;
  std::optional<Ensemble> alone_;  // the student as a model with one network
  Exported result_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace kdef
