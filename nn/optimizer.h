// Optimizers. One step: the gradient of the data loss from backward(), plus the regularizers' over every row of every
// table, clipped by the global L2 norm of all parameters, then the update. The fused implementation makes two passes
// over the parameters and never stores a dense gradient of a table; composed_step (below) is its readable twin.
#pragma once

#include <cstdint>
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

class Optimizer {
 public:
  Optimizer(std::vector<Parameter> parameters, const OptimizerConfig& config);

  struct Report {
    double regularization = 0;  // the regularizers' value before the update
    double gradient_norm = 0;   // before clipping
  };
  /// Applies the gradients that backward() left in the parameters, and clears them. If the norm is not finite nothing
  /// is applied or cleared, and the report says so.
  Report step();

  double learning_rate() const { return config_.learning_rate; }
  void set_learning_rate(double value) { config_.learning_rate = value; }

  /// The gradient of each parameter as step() would apply it: regularized and clipped, dense. For audits.
  std::vector<Tensor> clipped_gradients();

  /// The optimizer's tensors by name ("m.NAME", "v.NAME"), to save and to load; with the step count they are all there
  /// is to resume.
  std::vector<Buffer> state() const;
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  friend Optimizer::Report composed_step(Optimizer& optimizer);
  struct Slot {
    Parameter parameter;
    Tensor m, v;
    Regularizer regularizer;
  };
  Report measure();
  double clip_factor(double norm) const;

  std::vector<Slot> slots_;
  OptimizerConfig config_;
  int64_t steps_ = 0;
};

/// The same step written with ops on dense gradients: the definition that step() is tested against. Dense Adam only.
Optimizer::Report composed_step(Optimizer& optimizer);

}  // namespace kdef::nn
