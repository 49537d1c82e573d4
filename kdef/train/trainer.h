// The published training loop: Adam steps over a new permutation each epoch, validation every `eval_steps`, the
// learning rate cut at every evaluation without improvement, early stopping, the best model kept. Exactly resumable.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "data/feed/batching.h"
#include "kdef/measure/collapse.h"
#include "kdef/measure/evaluation.h"
#include "kdef/train/checkpoint.h"
#include "ops/gemm/gemm.h"

namespace kdef {

struct TrainingConfig {
  int64_t batch_size = 4096;  // more than there are rows: all rows are one batch
  int64_t shards = 1;         // pieces of a batch, a power of two: results depend on it, not on the number of processes
  bool divide_tables = false;  // each process of the group holds a part of the embedding tables
  int64_t epochs = 100;
  bool shuffle = true;
  uint64_t seed = 2024;
  nn::OptimizerConfig optimizer;
  ops::GemmPrecision precision = ops::GemmPrecision::f32;  // of the products of training steps; evaluation is fp32
  int64_t eval_steps = 0;                                  // steps between evaluations; 0: one epoch
  MetricList metrics;                                      // measured at each evaluation; empty: the task's
  std::map<std::string, double> monitor = {{"AUC", 1.0}};  // Metric::name() -> weight; the sum is monitored
  bool monitor_max = true;                                 // false: lower is better
  int64_t early_stop_patience = 2;                         // evaluations without improvement in a row that stop
  bool reduce_lr_on_plateau = true;                        // lr <- max(0.1 lr, 1e-6) at each of them
  bool save_best_only = true;    // false: the model of the last evaluation is kept, not the best
  int64_t checkpoint_steps = 0;  // steps between checkpoints beside those at evaluations; 0: none
  int64_t collapse_every = 0;    // evaluations from one record of collapse.jsonl to the next; 0: none
};

/// Functions that the loop calls while it runs. The library itself prints nothing.
struct TrainingListener {
  struct Step {
    int64_t step;            // steps done, of all epochs
    int64_t epoch;           // from 1
    int64_t batch, batches;  // batches of this epoch: done, and in all
    int64_t rows;            // rows of this batch
    double loss;             // regularization included
  };
  std::function<void(const Step&)> step = [](const Step&) {};
  /// One record of metrics.jsonl.
  struct Evaluated {
    int64_t step, epoch;
    double seconds, learning_rate;
    double train_loss;  // mean loss of the steps since the last evaluation: the objective and the regularizer
    Quality train;      // of the ensemble on a sample of the training rows: label_loss() alone; without dropout
    Evaluation valid;
    bool improved, stopped;
    int64_t without_improvement, patience;  // evaluations in a row, and how many of them stop; not kept
  };
  std::function<void(const Evaluated&)> evaluated = [](const Evaluated&) {};
  std::function<void(const std::string&)> note = [](const std::string&) {};
  /// Called after every step. True: the training saves a checkpoint and returns.
  std::function<bool()> stop_requested = [] { return false; };
};

struct TrainingResult {
  bool interrupted = false;  // stop_requested() returned true; a resumed training continues
  Evaluation valid, test;    // of the best model
  bool has_test = false;
  int64_t steps = 0;
  double seconds = 0;  // of training, evaluations included
};

/// Throws InputError where batches of at least `smallest_batch` rows cannot be cut into so many shards
/// (TrainingConfig::shards) by the processes of the current group, on that device.
void check_shards(int64_t shards, int64_t smallest_batch, Device device);

/// Rows of a whole batch: batch_size, or all training rows where there are fewer.
int64_t batch_rows(const TrainingConfig& config, int64_t train_rows);

/// Throws InputError where a training that divides its tables (TrainingConfig::divide_tables) is asked for what needs
/// them whole.
void check_division(const TrainingConfig& config, Device device);

/// Throws InputError where train() cannot work with this data and these settings.
void check_trainable(const Ensemble& model, const data::EncodedFile& train, const data::EncodedFile& valid,
                     const TrainingConfig& config);

/// Trains `model` and leaves in `run_directory` the files that RunFiles::from_training() names, the result last. `test`
/// may be null. `begin`, if it is set, is called with the new optimizer of a training that is not resumed. With
/// `resume` it goes on from the checkpoint there, bit for bit as if it had not stopped. `identity`
/// names configuration and data (see save_checkpoint). Throws InputError where the data cannot be trained on,
/// CheckError where the loss or a gradient is not finite, naming the step and the first bad tensor; SystemError where
/// a file cannot be written; the previous checkpoint stays whole.
///
/// In a group of processes (core/base/group.h) all members call it with equal arguments, over one directory that all
/// read. Each computes its part of every batch; the steps, the evaluations and the decisions are those of one process
/// with the whole batch, up to the order of sums and, in bf16, up to which products are rounded. The first member
/// writes the files. Every member's listener is called. With TrainingConfig::divide_tables the model is one whose
/// tables are divided among the members (Ensemble::divide), and is so afterwards.
TrainingResult train(Ensemble& model, const data::EncodedFile& train, const data::EncodedFile& valid,
                     const data::EncodedFile* test, const TrainingConfig& config, const std::string& run_directory,
                     const std::string& identity, bool resume, const TrainingListener& listener,
                     const std::function<void(nn::Optimizer&)>& begin = {});

/// The line of metrics.jsonl.
std::string metrics_line(const TrainingListener::Evaluated& e);

/// One record of collapse.jsonl: collapse at an evaluation.
struct CollapseRecord {
  int64_t step, epoch;
  CollapseReport report;
};
/// The line of collapse.jsonl.
std::string collapse_line(const CollapseRecord& record);

}  // namespace kdef
