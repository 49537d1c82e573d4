// A training that starts from the weights of another run (keys init, grow_vocabulary, init_optimizer).
#pragma once

#include <optional>
#include <string>

#include "kdef/config/config.h"
#include "kdef/method/ensemble.h"
#include "kdef/train/checkpoint.h"

namespace kdef {

/// The run that config.init names.
class WarmStart {
 public:
  /// Throws InputError if that is no run or has no model, if it is `directory`, where the training would write, or if
  /// it lacks the checkpoint that config.init_optimizer needs.
  WarmStart(const ExperimentConfig& config, const std::string& directory);

  /// Gives a model the run's parameters and buffers. Its fields are those of `map`, whose vocabularies are the run's,
  /// grown or not; a grown table has the run's rows first, and its other rows keep their values. InputError names the
  /// tensor that does not fit, and both shapes.
  void load(const data::FeatureMap& map, Ensemble& model);
  /// Gives a new optimizer of that model the state that the run's optimizer had in its last checkpoint. Does nothing
  /// without config.init_optimizer.
  void load(nn::Optimizer& optimizer) const;

 private:
  std::string run_;
  bool with_optimizer_;
  GrownTables grown_;
};

}  // namespace kdef
