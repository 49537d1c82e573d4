// The optimizer's step on a CUDA device: one launch over all parameters for each pass, nothing that waits for the
// device.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "core/cuda/runtime.h"
#include "nn/optimizer.h"

namespace kdef::nn {

/// Beside the parameters and their moments everything that changes from step to step is here, in device memory, so that
/// a step may be recorded and repeated: learning rate, count of steps, whether a step failed, and what became of the
/// last kRecords steps.
class OptimizerOnDevice {
 public:
  static constexpr int64_t kRecords = 64;

  struct Parameter {
    Tensor w, m, v;  // m, v: undefined where the rule has none
    double l1 = 0, l2 = 0;
    bool lazy = false;  // only the rows of the gradient are updated
    Tensor map;         // i32 [rows] of a table: -1, or within a step where the gradient has the row
  };

  OptimizerOnDevice(const OptimizerConfig& config, std::vector<Parameter> parameters, Device device);

  /// `gradients` as the parameters; `loss` a scalar, or undefined.
  void launch(const std::vector<Gradient>& gradients, const Tensor& loss);
  /// Waits. Of more than kRecords steps since the last call, an error.
  std::vector<StepRecord> take_records();

  void set_learning_rate(double value);
  int64_t steps() const;
  void set_steps(int64_t steps);

 private:
  // The arguments of one step's launches as the device reads them. Kept, and found again by their content: steps of one
  // shape find their gradients at the same addresses.
  struct Arguments {
    std::vector<std::byte> content;
    std::unique_ptr<cuda::PinnedMemory> pinned;
    Tensor device;
    bool recorded = false;  // by a graph, which reads it for as long as it lives
  };
  const Arguments& arguments(std::vector<std::byte> content);

  OptimizerConfig config_;
  std::vector<Parameter> parameters_;
  Device device_;
  Tensor control_;  // f64 [kControls]: see optimizer.cu
  Tensor records_;  // f64 [kRecords, 4]
  int64_t taken_ = 0;
  std::list<Arguments> known_;
};

}  // namespace kdef::nn
