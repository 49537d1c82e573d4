// What a run leaves on disk: the model, and everything needed to go on as if it had never stopped.
#pragma once

#include <map>
#include <string>

#include "kdef/method/ensemble.h"
#include "nn/optimizer/optimizer.h"

namespace kdef {

/// Where a training stands. With the model's and the optimizer's tensors it determines everything that follows: random
/// numbers are counter-based, so that their state is `step` and `epoch`.
struct TrainingState {
  int64_t step = 0;   // steps done
  int64_t epoch = 0;  // of the next step, from 0
  int64_t batch = 0;  // of the next step within its epoch
  double learning_rate = 0;
  double loss_sum = 0;  // of the batches since the last evaluation
  int64_t loss_count = 0;
  double best = 0;  // the best monitored value so far
  bool has_best = false;
  int64_t without_improvement = 0;  // evaluations in a row
  bool finished = false;
  int64_t window = 0;          // rows that are shuffled at a time (data/feed/batching.h)
  double seconds = 0;          // of training, over all sessions
  int64_t metrics_bytes = 0;   // length of metrics.jsonl at this point
  int64_t collapse_bytes = 0;  // of collapse.jsonl
};

/// Parameters and buffers under their names; `metadata` is written beside them.
void save_model(const std::string& path, const Ensemble& model, const std::map<std::string, std::string>& metadata);
/// Throws InputError naming the first tensor that is missing, of another shape or not the model's.
void load_model(const std::string& path, Ensemble& model);

/// `identity` names the configuration that the run was made with; load_checkpoint refuses another one.
void save_checkpoint(const std::string& path, const Ensemble& model, const nn::Optimizer& optimizer,
                     const TrainingState& state, const std::string& identity);
TrainingState load_checkpoint(const std::string& path, Ensemble& model, nn::Optimizer& optimizer,
                              const std::string& identity);

}  // namespace kdef
