// A model on disk, and a checkpoint: everything that a training needs to continue as if it had never stopped.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/io/safetensors.h"
#include "kdef/method/ensemble.h"
#include "nn/optimizer/optimizer.h"

namespace kdef {

/// The progress of a training. Together with the tensors of the model and the optimizer it determines every later step:
/// random numbers are counter-based, so that `step` and `epoch` are their state.
struct TrainingState {
  int64_t step = 0;   // steps done
  int64_t epoch = 0;  // of the next step, from 0
  int64_t batch = 0;  // of the next step within its epoch
  double learning_rate = 0;
  double loss_sum = 0;  // of the losses since the last evaluation
  int64_t loss_count = 0;
  double best = 0;  // the best monitored value so far; only where has_best is true
  bool has_best = false;
  int64_t without_improvement = 0;  // evaluations in a row that were no improvement
  bool finished = false;
  int64_t window = 0;          // rows that are shuffled at a time (data/feed/batching.h)
  double seconds = 0;          // of training, resumed trainings included
  int64_t metrics_bytes = 0;   // the length of metrics.jsonl at this point
  int64_t collapse_bytes = 0;  // the length of collapse.jsonl at this point
};

/// Writes the parameters and buffers under their names, and `metadata` beside them. Where the tables of the model are
/// divided (Ensemble::divide), all members of the group call it, within by_all_members(): the first one writes the
/// whole tables, which it receives in pieces.
void save_model(const std::string& path, const Ensemble& model, const std::map<std::string, std::string>& metadata);
/// Gives the bytes of the same file to `write`; the first tensor begins at a multiple of `alignment`. For a whole
/// model.
void save_model(const std::function<void(const void* data, size_t bytes)>& write, const Ensemble& model,
                const std::map<std::string, std::string>& metadata, size_t alignment);
/// Reads what save_model() wrote; of divided tables every member reads its rows. Throws InputError, which names the
/// tensor, where one is missing, has another shape or type, or does not belong to the model; the model is then
/// unchanged.
void load_model(const std::string& path, Ensemble& model);
void load_model(const SafetensorsFile& file, Ensemble& model);

/// Makes the model's tensors second names of those of the file, which are not copied where they are of type f32 and
/// the model is on the CPU. `owner` keeps the file's bytes, which may be written. InputError as above.
void share_model(const SafetensorsFile& file, Ensemble& model, const std::shared_ptr<const void>& owner);

/// Tables that have more rows than in the file that they are loaded from: by field, the rows there and now.
using GrownTables = std::map<std::string, std::pair<int64_t, int64_t>>;
/// Does the same with a model whose tables have grown. The file's rows are the first rows of a table; the others keep
/// their values. InputError as above; a table that is not in `grown` has one size.
void load_model(const SafetensorsFile& file, Ensemble& model, const GrownTables& grown);
/// Reads the state of the optimizer from a checkpoint with any identity, into one of the same rule. Rows that tables
/// have in addition keep the state of a new optimizer. The learning rate stays. InputError as for a model.
void load_optimizer(const std::string& checkpoint, nn::Optimizer& optimizer, const GrownTables& grown);

/// Writes the model, the optimizer and `state`; by all members where tables are divided, as save_model(). `identity`
/// names the configuration and the data of the run: load_checkpoint() refuses a checkpoint with another identity.
void save_checkpoint(const std::string& path, const Ensemble& model, const nn::Optimizer& optimizer,
                     const TrainingState& state, const std::string& identity);
/// Reads all of the file before it changes the model or the optimizer. InputError for a file without a checksum, or
/// with a number that is none or out of its range.
TrainingState load_checkpoint(const std::string& path, Ensemble& model, nn::Optimizer& optimizer,
                              const std::string& identity);

}  // namespace kdef
