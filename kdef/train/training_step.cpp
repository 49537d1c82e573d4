#include "kdef/train/training_step.h"

#include "core/base/group.h"
#include "nn/optimizer/group_gradients.h"

#if defined(KDEF_HAS_CUDA)
#include "core/cuda/runtime.h"
#endif

namespace kdef {

#if defined(KDEF_HAS_CUDA)
struct TrainingStep::OnDevice {
  explicit OnDevice(Device device) : step(Tensor::zeros({1}, DType::i64, device)) {}
  const uint64_t* step_address() const { return reinterpret_cast<const uint64_t*>(step.raw()); }
  Tensor step;  // the recorded kernels read the number of the step here
  cuda::Graph graph;
};
#else
struct TrainingStep::OnDevice {};
#endif

TrainingStep::TrainingStep(Ensemble& model, nn::Optimizer& optimizer, ops::GemmPrecision precision, uint64_t seed,
                           int64_t batch_size)
    : model_(model), optimizer_(optimizer), precision_(precision), seed_(seed), batch_size_(batch_size) {
#if defined(KDEF_HAS_CUDA)
  if (!model.device().is_cpu()) on_device_ = std::make_unique<OnDevice>(model.device());
#endif
}

TrainingStep::~TrainingStep() = default;

void TrainingStep::compute(const ModelInput& input, const nn::Pass& pass) {
  Tensor loss;
  {
    const ops::PrecisionScope precision(precision_);
    loss = model_.loss(model_.forward(input, pass), input.labels, input.weights);
    backward(loss);
  }
  nn::sum_over_group(Group::current(), model_.parameters());
  optimizer_.launch_step(loss);
}

nn::Pass TrainingStep::training_pass(int64_t first_row) const {
  nn::Pass pass;
  pass.training = true;
  pass.seed = seed_;
  pass.first_row = first_row;
  return pass;
}

Tensor TrainingStep::loss(const ModelInput& input, uint64_t step, int64_t first_row) const {
  nn::Pass pass = training_pass(first_row);
  pass.step = step;
  const ops::PrecisionScope precision(precision_);
  return model_.loss(model_.forward(input, pass), input.labels, input.weights);
}

void TrainingStep::run(const ModelInput& input, uint64_t step, int64_t first_row) {
  nn::Pass pass = training_pass(first_row);
#if defined(KDEF_HAS_CUDA)
  if (on_device_) {
    on_device_->step.fill(static_cast<double>(step));
    pass.device_step = on_device_->step_address();
    if (input.rows() != batch_size_ || !Group::current().is_alone()) return compute(input, pass);
    if (on_device_->graph.recorded()) return on_device_->graph.launch();
    return on_device_->graph.record([&] { compute(input, pass); });
  }
#endif
  pass.step = step;
  compute(input, pass);
}

}  // namespace kdef
