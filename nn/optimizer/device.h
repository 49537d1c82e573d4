// The optimizer's step on a device that works by itself.
#pragma once

#include <memory>
#include <vector>

#include "nn/optimizer/optimizer.h"

namespace kdef::nn {

/// Does steps without waiting for the device. Everything that changes from step to step is in the device's memory, so
/// that a step may be recorded and repeated.
class DeviceOptimizer {
 public:
  static constexpr int64_t kRecords = 64;  // of the last steps, that are kept

  struct Parameter {
    Tensor w, m, v;  // m, v: undefined where the rule has none
    double l1 = 0, l2 = 0;
    bool table = false;  // may get gradients by rows
    bool lazy = false;   // only the rows of the gradient are updated
  };

  virtual ~DeviceOptimizer() = default;
  /// `gradients` as the parameters; `loss` a scalar, or undefined.
  virtual void launch(const std::vector<Gradient>& gradients, const Tensor& loss) = 0;
  /// Waits. Of more than kRecords steps since the last call, an error.
  virtual std::vector<StepRecord> take_records() = 0;
  virtual void set_learning_rate(double value) = 0;
  virtual int64_t steps() const = 0;
  virtual void set_steps(int64_t steps) = 0;
};

namespace cuda {
std::unique_ptr<DeviceOptimizer> make_device_optimizer(const OptimizerConfig& config,
                                                       std::vector<DeviceOptimizer::Parameter> parameters,
                                                       Device device);
}

}  // namespace kdef::nn
