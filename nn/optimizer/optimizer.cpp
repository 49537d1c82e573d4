#include "nn/optimizer/optimizer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/group.h"
#include "core/base/names.h"
#include "nn/optimizer/device.h"
#include "nn/optimizer/passes.h"

namespace kdef::nn {

OptimizerKind parse_optimizer(const std::string& name) {
  const OptimizerEntry* entry = find_row(kOptimizers, lower_case(name));
  if (entry == nullptr) fail_unknown_name("optimizer", name, row_names(kOptimizers));
  return entry->kind;
}

std::string optimizer_names() { return joined(row_names(kOptimizers)); }

std::string optimizer_meanings() { return meanings(kOptimizers); }

Optimizer::Optimizer(std::vector<Parameter> parameters, const OptimizerConfig& config, int64_t partial_sums)
    : config_(config), partial_sums_(partial_sums) {
  const OptimizerEntry& entry = entry_of(config.kind);
  for (Parameter& p : parameters) {
    OptimizerSlot slot;
    for (size_t i = 0; i < entry.state.size(); ++i) {
      slot.state.push_back(Tensor::zeros(p.tensor.shape(), p.tensor.dtype(), p.tensor.device()));
    }
    slot.regularizer = p.embedding ? config.embedding : config.net;
    slot.added = entry.added(slot.regularizer);
    slot.only_rows = entry.rows == UpdatedRows::batch && p.embedding;
    slot.parameter = std::move(p);
    slots_.push_back(std::move(slot));
  }
  const Device device = slots_.empty() ? kCpu : slots_[0].parameter.tensor.device();
  if (device.is_cpu()) return;
#if defined(KDEF_HAS_CUDA)
  on_device_ = cuda::make_device_optimizer(config, slots_, device);
#endif
}

Optimizer::~Optimizer() = default;

void Optimizer::set_learning_rate(double value) {
  config_.learning_rate = value;
  if (on_device_) on_device_->set_learning_rate(value);
}

int64_t Optimizer::steps() const {
  if (on_device_) return on_device_->steps();
  return steps_;
}

void Optimizer::set_steps(int64_t steps) {
  steps_ = steps;
  if (on_device_) on_device_->set_steps(steps);
}

void Optimizer::launch_step(const Tensor& loss) {
  if (!on_device_) {
    records_.push_back(step_on_cpu(loss));
    return;
  }
  std::vector<Gradient> gradients;
  for (const OptimizerSlot& slot : slots_) gradients.push_back(slot.parameter.tensor.gradient());
  on_device_->launch(gradients, loss);
  for (const OptimizerSlot& slot : slots_) {
    slot.parameter.tensor.changed();
    slot.parameter.tensor.clear_grad();
  }
}

std::vector<cpu::DataGradient> Optimizer::measured_gradients(double& squares, double& penalty) const {
  std::vector<cpu::DataGradient> gradients;
  const size_t count = static_cast<size_t>(partial_sums_);
  std::vector<double> sums(2 * count);  // squares, then penalties
  int64_t members = 1;
  for (const OptimizerSlot& slot : slots_) {
    gradients.push_back(cpu::data_gradient(slot.parameter));
    if (slot.parameter.table == nullptr || partial_sums_ == 0) {
      cpu::measure(slot, gradients.back(), squares, penalty);
      continue;
    }
    members = std::max(members, slot.parameter.table->members);
    cpu::measure_partial_sums(slot, gradients.back(), std::span(sums).first(count), std::span(sums).last(count));
  }
  if (members > 1) {
    Group& group = Group::current();
    KDEF_CHECK(group.size() == members, "optimizer: the rows of a table are divided among ", members,
               " members, and a step is taken by ", group.size());
    group.all_reduce(std::span(sums));  // each is one member's sum, and zeros
  }
  for (size_t i = 0; i < count; ++i) {
    squares += sums[i];
    penalty += sums[count + i];
  }
  return gradients;
}

StepRecord Optimizer::step_on_cpu(const Tensor& loss) {
  StepRecord record;
  double squares = 0;
  std::vector<cpu::DataGradient> gradients = measured_gradients(squares, record.regularization);
  record.loss = loss.defined() ? loss.item() : 0;
  record.gradient_norm = std::sqrt(squares);
  const bool failed = !records_.empty() && !records_.back().applied;
  record.applied = !failed && std::isfinite(record.gradient_norm) && std::isfinite(record.loss);
  if (!record.applied) return record;

  const double t = static_cast<double>(++steps_), factor = clip_factor(record.gradient_norm);
  const RuleStep step{config_.learning_rate,
                      config_.beta1,
                      config_.beta2,
                      config_.eps,
                      bias_correction(config_.beta1, t),
                      bias_correction(config_.beta2, t)};
  for (size_t i = 0; i < slots_.size(); ++i) {
    cpu::update(slots_[i], gradients[i], config_.kind, step, factor);
    gradients[i] = {};
    slots_[i].parameter.tensor.changed();
    slots_[i].parameter.tensor.clear_grad();
  }
  return record;
}

std::vector<StepRecord> Optimizer::take_records() {
  if (on_device_) return on_device_->take_records();
  return std::exchange(records_, {});
}

StepRecord Optimizer::step() {
  launch_step();
  return take_records().back();
}

double Optimizer::clip_factor(double norm) const {
  return config_.clip_norm > 0 ? std::min(1.0, config_.clip_norm / (norm + 1e-6)) : 1.0;
}

std::vector<Tensor> Optimizer::clipped_gradients() {
  if (on_device_) {
    std::vector<Parameter> on_host;
    for (const OptimizerSlot& slot : slots_) {
      Parameter p = slot.parameter;
      const Tensor g = p.tensor.grad();
      p.tensor = p.tensor.detach().to(kCpu);
      if (g.defined()) p.tensor.gradient().add(g.to(kCpu));
      on_host.push_back(p);
    }
    return Optimizer(on_host, config_).clipped_gradients();
  }
  double squares = 0, penalty = 0;
  const std::vector<cpu::DataGradient> gradients = measured_gradients(squares, penalty);
  const double factor = clip_factor(std::sqrt(squares));
  std::vector<Tensor> clipped;
  for (size_t i = 0; i < slots_.size(); ++i) {
    clipped.push_back(cpu::regularized_gradient(slots_[i], gradients[i], factor));
  }
  return clipped;
}

std::vector<Buffer> Optimizer::state() const {
  const OptimizerEntry& entry = entry_of(config_.kind);
  std::vector<Buffer> all;
  for (const OptimizerSlot& slot : slots_) {
    for (size_t i = 0; i < slot.state.size(); ++i) {
      all.push_back({cat(entry.state[i], ".", slot.parameter.name), slot.state[i], slot.parameter.table});
    }
  }
  return all;
}

}  // namespace kdef::nn
