// Optimizers. A step takes the gradient of the data loss from backward(), adds the regularizers' gradient over every
// row of every table, clips the sum by the global L2 norm of all parameters, and updates the parameters by the rule
// (rules.h). The fused implementation makes two passes over the parameters and never stores a dense gradient of a
// table; composed_step (below) is its readable twin.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nn/module.h"
#include "nn/optimizer/rules.h"

namespace kdef::nn {

/// Finds an optimizer by its name, in any case of letters; throws InputError for an unknown name.
OptimizerKind parse_optimizer(const std::string& name);
/// The names of all optimizers: "adam, lazy_adam, ...".
std::string optimizer_names();
/// What each optimizer is: "adam: ...; lazy_adam: ...".
std::string optimizer_meanings();

struct OptimizerConfig {
  OptimizerKind kind = OptimizerKind::adam;
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  // of Adam; Adagrad's eps is 1e-10
  Regularizer embedding, net;
  double clip_norm = 10;  // gradients are scaled by min(1, clip_norm / (norm + 1e-6)); 0: no clipping
};

/// What became of a step.
struct StepRecord {
  double loss = 0;            // the loss of the data, as launch_step() received it
  double regularization = 0;  // the value of the regularizers before the update, of the parts that enter the gradient
  double gradient_norm = 0;   // before clipping
  bool applied = false;
};

/// A parameter with its state in the optimizer.
struct OptimizerSlot {
  Parameter parameter;
  std::vector<Tensor> state;  // in the order of the rule's kState
  Regularizer regularizer;
  Regularizer added;       // the part of `regularizer` that is added to the gradient
  bool only_rows = false;  // a step updates only the rows that the gradient has
};

class DeviceOptimizer;  // nn/optimizer/device.h
namespace cpu {
struct DataGradient;  // nn/optimizer/passes.h
}

class Optimizer {
 public:
  /// `partial_sums`: how the norm of the gradient and the penalty are summed over the rows of a table. 0: by pieces of
  /// its elements. Otherwise block b of its rows (TableRows) adds to partial sum (b + column) mod `partial_sums`, of
  /// all tables, and the partial sums are added in their order: the result does not depend on how the rows are divided
  /// among members, whose number must divide `partial_sums`. Where a parameter holds a part of its table, the members
  /// of the current group take a step together. Partial sums are for the CPU.
  Optimizer(std::vector<Parameter> parameters, const OptimizerConfig& config, int64_t partial_sums = 0);
  ~Optimizer();
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Applies the gradients that backward() left in the parameters, and clears them. The work is done on the parameters'
  /// device, and the call does not wait for it. `loss` is a scalar, or undefined. A step is not applied if its loss or
  /// its gradient norm is not finite; the steps after it are not applied until its record has been taken. On the CPU
  /// such a step leaves the gradients in place, so that they can be examined.
  void launch_step(const Tensor& loss = {});
  /// Waits for the steps, and returns a record of each step since the last call, the oldest first. On a device at most
  /// 64 steps may be launched between two calls; more throw an Error.
  std::vector<StepRecord> take_records();
  /// Calls launch_step() and take_records(), and returns the last record.
  StepRecord step();

  double learning_rate() const { return config_.learning_rate; }
  void set_learning_rate(double value);

  /// The gradient of each parameter as step() would give it to the rule: regularized, clipped and dense. For audits.
  std::vector<Tensor> clipped_gradients();

  /// The state tensors by name ("m.NAME", "v.NAME"), to be saved and loaded. A training resumes from these tensors and
  /// the step count.
  std::vector<Buffer> state() const;
  int64_t steps() const;
  void set_steps(int64_t steps);

 private:
  friend StepRecord composed_step(Optimizer& optimizer);
  // The step on the CPU.
  StepRecord step_on_cpu(const Tensor& loss);
  // The gradients that backward() left; adds to the sum of their squares and to the penalty.
  std::vector<cpu::DataGradient> measured_gradients(double& squares, double& penalty) const;
  double clip_factor(double norm) const;

  std::vector<OptimizerSlot> slots_;
  OptimizerConfig config_;
  int64_t partial_sums_;
  int64_t steps_ = 0;
  std::vector<StepRecord> records_;             // of steps on the CPU, not taken yet
  std::unique_ptr<DeviceOptimizer> on_device_;  // null for the CPU
};

/// The same step written with ops on dense gradients: the definition that step() is tested against.
StepRecord composed_step(Optimizer& optimizer);

}  // namespace kdef::nn
