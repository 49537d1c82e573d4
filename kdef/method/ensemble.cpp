#include "kdef/method/ensemble.h"

#include <algorithm>
#include <optional>

#include "nn/networks/networks.h"
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
    : config_(config) {
  KDEF_CHECK(!config.students.empty(), "ensemble: needs at least one network");
  for (size_t k = 0; k < (config.shared_embedding ? 1 : config.students.size()); ++k) {
    embeddings_.push_back(&add_child(config.shared_embedding ? "embedding_layer" : cat("embedding_layers.", k),
                                     std::make_unique<nn::EmbeddingTables>(fields, config.embedding_dim, build)));
  }
  const nn::EmbeddingShape shape{embedding().field_count(), embedding().dim(), embedding().width()};
  int64_t width = 0;
  for (const nn::NetworkConfig& student : config.students) {
    networks_.push_back(
        &add_child("networks." + std::to_string(networks_.size()), nn::make_network(student, shape, build)));
    width += networks_.back()->hidden_width();
  }
  for (const nn::Network* network : networks_) {
    if (network->as_mlp() != nullptr) mlps_.push_back(network->as_mlp());
  }
  if (mlps_.size() < networks_.size() || !config.shared_embedding || config.kind == EnsembleKind::concat) {
    mlps_.clear();
  }
  if (config.kind == EnsembleKind::concat) {
    concat_ = &add_child("fc", std::make_unique<nn::Linear>(width, 1, build));
  }
}

std::vector<Tensor> Ensemble::embed(const ModelInput& input) const {
  std::vector<Tensor> all;
  for (const nn::EmbeddingTables* tables : embeddings_) {
    all.push_back(tables->forward(input.ids, input.values, config_.fused));
  }
  if (config_.shared_embedding) all.assign(networks_.size(), Tensor(all[0]));
  return all;
}

Ensemble::Output Ensemble::forward(const ModelInput& input, const nn::Pass& settings) const {
  nn::Pass pass = settings;
  pass.fused = config_.fused;
  // In prediction a row's numbers shall not depend on the rows beside it, not even in the last digit.
  std::optional<nn::SplitEmbedding> split;
  if (device().is_cpu() && pass.training && config_.fused && config_.distinct && config_.shared_embedding &&
      std::all_of(networks_.begin(), networks_.end(), [](const nn::Network* n) { return n->reads_distinct(); })) {
    split = embeddings_[0]->split(input.ids, input.values, ops::DistinctLimits::for_batch(input.rows()));
  }
  const std::vector<Tensor> e = split ? std::vector<Tensor>() : embed(input);
  if (stacks(pass, input.rows())) return combined(nn::Mlp::forward_stacked(mlps_, nn::flatten(e[0]), pass));
  std::vector<Tensor> logits, hidden;
  for (size_t k = 0; k < networks_.size(); ++k) {
    const nn::Network& network = *networks_[k];
    if (config_.kind == EnsembleKind::concat) {
      hidden.push_back(split ? network.hidden(*split, pass) : network.hidden(e[k], pass));
      logits.push_back(network.output(hidden.back()));
    } else {
      logits.push_back(split ? network.forward(*split, pass) : network.forward(e[k], pass));
    }
  }
  const Tensor z = ops::concat(logits, 1);
  if (config_.kind == EnsembleKind::concat) return {z, concat_->forward(ops::concat(hidden, 1))};
  return combined(z);
}

Ensemble::Output Ensemble::combined(const Tensor& z) const {
  switch (config_.kind) {
    case EnsembleKind::kdef:
    case EnsembleKind::mean:
      return {z, ops::mean(z, 1, true)};
    case EnsembleKind::sum:
      return {z, ops::sum(z, 1, true)};
    case EnsembleKind::concat:
      break;  // reads hidden layers, not logits
  }
  throw Error("ensemble: unknown kind");
}

bool Ensemble::stacks(const nn::Pass& pass, int64_t rows) const {
  return !mlps_.empty() && !device().is_cpu() && pass.training && pass.fused && pass.tap == nullptr &&
         nn::Mlp::stackable(mlps_, ops::gemm_precision(), rows);
}

std::vector<std::vector<Tensor>> Ensemble::hidden_layers(const ModelInput& input) const {
  const NoGrad no_grad;
  const std::vector<Tensor> e = embed(input);
  std::vector<std::vector<Tensor>> all;
  for (size_t k = 0; k < networks_.size(); ++k) {
    nn::LayerTap tap;
    const Tensor last = networks_[k]->hidden(e[k], {.fused = config_.fused, .tap = &tap});
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
