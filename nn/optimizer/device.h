// The interface of an optimizer whose parameters are on a device other than the CPU.
#pragma once

#include <memory>
#include <vector>

#include "nn/optimizer/optimizer.h"

namespace kdef::nn {

/// Does steps without waiting for the device. All values that change from step to step are in the device's memory, so
/// that a step may be recorded and repeated.
class DeviceOptimizer {
 public:
  static constexpr int64_t kRecords = 64;  // records that are kept, of the last steps

  virtual ~DeviceOptimizer() = default;
  /// `gradients` are in the order of the parameters; `loss` is a scalar, or undefined.
  virtual void launch(const std::vector<Gradient>& gradients, const Tensor& loss) = 0;
  /// Waits for the steps since the last call; throws Error if there were more than kRecords.
  virtual std::vector<StepRecord> take_records() = 0;
  virtual void set_learning_rate(double value) = 0;
  virtual int64_t steps() const = 0;
  virtual void set_steps(int64_t steps) = 0;
};

namespace cuda {
/// All parameters must have one element type.
std::unique_ptr<DeviceOptimizer> make_device_optimizer(const OptimizerConfig& config, std::vector<OptimizerSlot> slots,
                                                       Device device);
}  // namespace cuda

}  // namespace kdef::nn
