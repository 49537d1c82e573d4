#include "kdef/train/training_step.h"

#include "core/base/shards.h"
#include "data/feed/batching.h"
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

// The model for the first shard of this process, and a copy of it for every other.
struct TrainingStep::Sharded {
  Sharded(Ensemble& model, int64_t of_batch) : shards(Group::current(), of_batch) {
    models.push_back(&model);
    for (int64_t i = 1; i < shards.count(); ++i) models.push_back(copies.emplace_back(copy_of(model)).get());
    for (const Ensemble* m : models) parameters.push_back(m->parameters());
    losses.resize(models.size());
  }

  // A copy shares the parameters. It has buffers of its own, since every shard updates running moments, all to the
  // same values.
  static std::unique_ptr<Ensemble> copy_of(const Ensemble& model) {
    const std::vector<nn::Parameter> from = model.parameters();
    nn::Builder zeros = nn::Builder::zeros(from.at(0).tensor.dtype());
    auto copy = std::make_unique<Ensemble>(model.config(), model.embedding().shape().list, zeros);
    const std::vector<nn::Parameter> to = copy->parameters();
    KDEF_CHECK(from.size() == to.size(), "shards: a copy of the model has ", to.size(), " parameters, not ",
               from.size());
    for (size_t i = 0; i < to.size(); ++i) to[i].tensor.share(from[i].tensor);
    const std::vector<nn::Buffer> values = model.buffers();
    std::vector<nn::Buffer> buffers = copy->buffers();
    for (size_t i = 0; i < buffers.size(); ++i) buffers[i].tensor.copy_from(values[i].tensor);
    return copy;
  }

  Shards shards;
  std::vector<std::unique_ptr<Ensemble>> copies;
  std::vector<const Ensemble*> models;                 // of each shard
  std::vector<std::vector<nn::Parameter>> parameters;  // of each model
  std::vector<Tensor> losses;                          // of the whole batch, as each shard has it
};

int64_t partial_sums(const Ensemble& model, int64_t shards) {
  if (shards > 1) return shards;
  const int members = model.divided() == nullptr ? 1 : model.divided()->group().size();
  return members > 1 ? members : 0;
}

TrainingStep::TrainingStep(Ensemble& model, nn::Optimizer& optimizer, ops::GemmPrecision precision, uint64_t seed,
                           int64_t batch_size, int64_t shards)
    : model_(model),
      optimizer_(optimizer),
      precision_(precision),
      seed_(seed),
      batch_size_(batch_size),
      shards_(shards) {
  KDEF_CHECK(shards == 1 || model.device().is_cpu(), "shards: on ", name_of(model.device()));
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
  sum_gradients();
  optimizer_.launch_step(loss);
}

// Over the members of the group, from the model to the parameters of the optimizer.
void TrainingStep::sum_gradients() {
  if (model_.divided() != nullptr) return model_.divided()->return_gradients();
  nn::sum_over_group(Group::current(), model_.parameters());
}

void TrainingStep::compute_shards(const ModelInput& input, const nn::Pass& pass, int64_t batch_rows) {
  if (!sharded_) sharded_ = std::make_unique<Sharded>(model_, shards_);
  Sharded& s = *sharded_;
  s.shards.run([&](int64_t i) {
    const data::BatchPart part{s.shards.first() + i, shards_};
    const int64_t first = part.first(batch_rows);
    nn::Pass own = pass;
    own.first_row = first;
    const ModelInput rows = input.rows(first - pass.first_row, part.last(batch_rows) - first);
    const Ensemble& model = *s.models[static_cast<size_t>(i)];
    const ops::PrecisionScope precision(precision_);
    const Tensor loss = model.loss(model.forward(rows, own), rows.labels, rows.weights);
    backward(loss);
    s.losses[static_cast<size_t>(i)] = loss;
  });
  nn::sum_over_shards(s.parameters, s.parameters[0]);
  sum_gradients();
  optimizer_.launch_step(s.losses[0]);
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
  return model_.loss(model_.forward(model_.fetched(input), pass), input.labels, input.weights);
}

void TrainingStep::run(const ModelInput& given, uint64_t step, int64_t first_row, int64_t batch_rows) {
  nn::Pass pass = training_pass(first_row);
  const ModelInput input = model_.fetched(given);
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
  if (shards_ > 1) return compute_shards(input, pass, batch_rows > 0 ? batch_rows : input.rows());
  compute(input, pass);
}

}  // namespace kdef
