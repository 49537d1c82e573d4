#include "kdef/ensemble.h"

#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/loss.h"
#include "ops/reduce.h"

namespace kdef {

const char* name_of(EnsembleKind kind) {
  switch (kind) {
    case EnsembleKind::kdef:
      return "kdef";
    case EnsembleKind::mean:
      return "mean";
    case EnsembleKind::sum:
      return "sum";
    case EnsembleKind::concat:
      return "concat";
  }
  return "?";
}

Ensemble::Ensemble(const EnsembleConfig& config, const std::vector<nn::EmbeddingField>& fields, nn::Builder& build)
    : config_(config),
      embedding_(
          add_child("embedding_layer", std::make_unique<nn::EmbeddingTables>(fields, config.embedding_dim, build))) {
  KDEF_CHECK(!config.students.empty(), "ensemble: needs at least one network");
  const nn::EmbeddingShape shape{embedding_.field_count(), embedding_.dim(), embedding_.width()};
  int64_t width = 0;
  for (const nn::NetworkConfig& student : config.students) {
    networks_.push_back(
        &add_child("networks." + std::to_string(networks_.size()), nn::make_network(student, shape, build)));
    width += networks_.back()->hidden_width();
  }
  if (config.kind == EnsembleKind::concat) {
    concat_ = &add_child("fc", std::make_unique<nn::Linear>(width, 1, build));
  }
}

Ensemble::Output Ensemble::forward(const ModelInput& input, const nn::Pass& settings) const {
  nn::Pass pass = settings;
  pass.fused = config_.fused;
  const Tensor e = embedding_.forward(input.ids, input.values, config_.fused);
  std::vector<Tensor> logits, hidden;
  for (const nn::Network* network : networks_) {
    hidden.push_back(network->hidden(e, pass));
    logits.push_back(network->output(hidden.back()));
  }
  const Tensor z = ops::concat(logits, 1);
  switch (config_.kind) {
    case EnsembleKind::kdef:
    case EnsembleKind::mean:
      return {z, ops::mean(z, 1, true)};
    case EnsembleKind::sum:
      return {z, ops::sum(z, 1, true)};
    case EnsembleKind::concat:
      return {z, concat_->forward(ops::concat(hidden, 1))};
  }
  throw Error("ensemble: unknown kind");
}

std::vector<std::vector<Tensor>> Ensemble::hidden_layers(const ModelInput& input) const {
  const NoGrad no_grad;
  const Tensor e = embedding_.forward(input.ids, input.values, config_.fused);
  std::vector<std::vector<Tensor>> all;
  for (const nn::Network* network : networks_) {
    nn::LayerTap tap;
    const Tensor last = network->hidden(e, {.fused = config_.fused, .tap = &tap});
    if (tap.layers.empty() || !tap.layers.back().same_storage(last)) tap.layers.push_back(last);
    all.push_back(std::move(tap.layers));
  }
  return all;
}

Tensor Ensemble::loss(const Output& output, const Tensor& labels) const {
  if (config_.kind == EnsembleKind::kdef) {
    return config_.fused ? kdef_objective(output.students, labels, config_.objective)
                         : kdef_objective_composed(output.students, labels, config_.objective);
  }
  return ops::binary_cross_entropy(ops::sigmoid(output.ensemble), labels);
}

}  // namespace kdef
