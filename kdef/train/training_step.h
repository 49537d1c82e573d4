// One step of training: forward, objective, backward, optimizer.
#pragma once

#include <memory>

#include "kdef/method/ensemble.h"
#include "nn/optimizer/optimizer.h"
#include "ops/gemm/gemm.h"

namespace kdef {

/// Gives steps to the model's device. What became of them, the optimizer tells (Optimizer::take_records). On a CUDA
/// device the first step of a full batch is recorded, and the following ones repeat it at the cost of one launch; a
/// smaller batch, as the last of an epoch, is computed op by op.
class TrainingStep {
 public:
  /// Model and optimizer must outlive it. `seed` names the dropout masks with the number of the step.
  TrainingStep(Ensemble& model, nn::Optimizer& optimizer, ops::GemmPrecision precision, uint64_t seed,
               int64_t batch_size);
  ~TrainingStep();
  TrainingStep(const TrainingStep&) = delete;
  TrainingStep& operator=(const TrainingStep&) = delete;

  /// A recorded step reads the input where the first one did: inputs of full batches must be the same tensors' data.
  void run(const ModelInput& input, uint64_t step);

 private:
  struct OnDevice;
  void compute(const ModelInput& input, const nn::Pass& pass);

  Ensemble& model_;
  nn::Optimizer& optimizer_;
  ops::GemmPrecision precision_;
  uint64_t seed_;
  int64_t batch_size_;
  std::unique_ptr<OnDevice> on_device_;  // null for the CPU
};

}  // namespace kdef
