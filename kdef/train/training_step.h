// One step of training: forward, objective, backward, optimizer.
#pragma once

#include <memory>

#include "kdef/method/ensemble.h"
#include "nn/optimizer/optimizer.h"
#include "ops/gemm/gemm.h"

namespace kdef {

/// The number of partial sums (nn::Optimizer) by which the sums of a step do not depend on which process holds which
/// rows of the tables.
int64_t partial_sums(const Ensemble& model, int64_t shards);

/// Gives steps to the model's device. Optimizer::take_records returns their losses and gradient norms. On a CUDA device
/// the first step of a full batch is recorded, and the following steps repeat the recording at the cost of one launch;
/// a smaller batch, like the last of an epoch, is computed op by op, and so is every batch of a group of processes.
class TrainingStep {
 public:
  /// Model and optimizer, which has the model's owned_parameters(), must outlive the TrainingStep. `seed` and the
  /// number of the step name the dropout masks. `shards`: into how many a batch is cut; more than 1, on the CPU alone:
  /// each shard has a copy of the model that shares the parameters, and the bits of a step depend on `shards` and not
  /// on the number of processes.
  TrainingStep(Ensemble& model, nn::Optimizer& optimizer, ops::GemmPrecision precision, uint64_t seed,
               int64_t batch_size, int64_t shards = 1);
  ~TrainingStep();
  TrainingStep(const TrainingStep&) = delete;
  TrainingStep& operator=(const TrainingStep&) = delete;

  /// Computes step number `step`. In a group of processes `input` is this member's part of the batch, `first_row` the
  /// rows of the batch before it, `batch_rows` those of the whole batch (0: the input is the batch); the gradients are
  /// summed over the members, and all take the same step. A recorded step reads its input at the addresses of the first
  /// one: the inputs of all full batches must lie in the same memory.
  void run(const ModelInput& input, uint64_t step, int64_t first_row = 0, int64_t batch_rows = 0);

  /// The loss of a step alone, on the tape and op by op: the same dropout masks and precision as run() uses.
  Tensor loss(const ModelInput& input, uint64_t step, int64_t first_row = 0) const;

 private:
  struct OnDevice;
  struct Sharded;
  // The batch is one of Ensemble::fetched().
  void compute(const ModelInput& input, const nn::Pass& pass);
  void sum_gradients();
  void compute_shards(const ModelInput& input, const nn::Pass& pass, int64_t batch_rows);
  nn::Pass training_pass(int64_t first_row) const;

  Ensemble& model_;
  nn::Optimizer& optimizer_;
  ops::GemmPrecision precision_;
  uint64_t seed_;
  [[maybe_unused]] int64_t batch_size_;  // of full batches; only a CUDA device asks
  std::unique_ptr<OnDevice> on_device_;  // null for the CPU
  int64_t shards_;
  std::unique_ptr<Sharded> sharded_;  // made by the first step that is cut
};

}  // namespace kdef
