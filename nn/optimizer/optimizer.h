// Optimizers. One step: the gradient of the data loss from backward(), plus the regularizers' over every row of every
// table, clipped by the global L2 norm of all parameters, then the update. The fused implementation makes two passes
// over the parameters and never stores a dense gradient of a table; composed_step (below) is its readable twin.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nn/module.h"

namespace kdef::nn {

/// Adds l2/2 ||w||^2 + l1 ||w||_1 to the loss.
struct Regularizer {
  double l1 = 0, l2 = 0;
};

enum class OptimizerKind {
  adam,       // Kingma, Ba 2015 (arXiv 1412.6980), dense: every row of every table at every step
  lazy_adam,  // Adam that leaves the table rows alone that are not in the batch: another algorithm, not a faster Adam
  sgd,
  adagrad,  // Duchi, Hazan, Singer 2011
};
/// adam, lazy_adam, sgd, adagrad, in any case of letters; throws InputError otherwise.
OptimizerKind parse_optimizer(const std::string& name);

struct OptimizerConfig {
  OptimizerKind kind = OptimizerKind::adam;
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  // Adam; Adagrad's eps is 1e-10
  Regularizer embedding, net;
  double clip_norm = 10;  // factor clip_norm / (norm + 1e-6) where that is under 1; 0: no clipping
};

/// What became of a step.
struct StepRecord {
  double loss = 0;            // of the data, as it was handed to launch_step()
  double regularization = 0;  // the regularizers' value before the update
  double gradient_norm = 0;   // before clipping
  bool applied = false;
};

class DeviceOptimizer;  // nn/optimizer/device.h

class Optimizer {
 public:
  Optimizer(std::vector<Parameter> parameters, const OptimizerConfig& config);
  ~Optimizer();
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Applies the gradients that backward() left in the parameters, and clears them, on the parameters' device and
  /// without waiting for it. A step whose loss (a scalar; undefined: none) or gradient norm is not finite is not
  /// applied, nor is any after it until its record has been taken; on the CPU it leaves the gradients, to be looked at.
  void launch_step(const Tensor& loss = {});
  /// Waits for the steps, and returns what became of those since the last call, the oldest first. On a device at most
  /// 64 may be outstanding.
  std::vector<StepRecord> take_records();
  /// Both.
  StepRecord step();

  double learning_rate() const { return config_.learning_rate; }
  void set_learning_rate(double value);

  /// The gradient of each parameter as step() would apply it: regularized and clipped, dense. For audits.
  std::vector<Tensor> clipped_gradients();

  /// The optimizer's tensors by name ("m.NAME", "v.NAME"), to save and to load; with the step count they are all there
  /// is to resume.
  std::vector<Buffer> state() const;
  int64_t steps() const;
  void set_steps(int64_t steps);

 private:
  friend StepRecord composed_step(Optimizer& optimizer);
  struct Slot {
    Parameter parameter;
    Tensor m, v;
    Regularizer regularizer;
  };
  // Of the CPU: regularization and norm; the update.
  StepRecord measure();
  void update(double factor);
  double clip_factor(double norm) const;

  std::vector<Slot> slots_;
  OptimizerConfig config_;
  int64_t steps_ = 0;
  std::vector<StepRecord> records_;             // not taken yet
  std::unique_ptr<DeviceOptimizer> on_device_;  // null for the CPU
};

/// The same step written with ops on dense gradients: the definition that step() is tested against. Dense Adam only.
StepRecord composed_step(Optimizer& optimizer);

}  // namespace kdef::nn
