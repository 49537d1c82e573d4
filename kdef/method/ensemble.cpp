#include "kdef/method/ensemble.h"

#include <algorithm>

#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

namespace kdef {

Ensemble::Ensemble(const EnsembleConfig& config, const std::vector<nn::EmbeddingField>& fields, nn::Builder& build)
    : config_(config) {
  KDEF_CHECK(!config.students.empty(), "ensemble: needs at least one network");
  if (const std::string refusal = refusal_of(config.kind, *config.task); !refusal.empty()) throw InputError(refusal);
  for (size_t k = 0; k < (config.shared_embedding ? 1 : config.students.size()); ++k) {
    const auto reads = [&](const nn::NetworkConfig& student) { return nn::reads_shared_tables(student); };
    const bool read = config.shared_embedding ? std::any_of(config.students.begin(), config.students.end(), reads)
                                              : reads(config.students[k]);
    embeddings_.push_back(&add_child(config.shared_embedding ? "embedding_layer" : cat("embedding_layers.", k),
                                     std::make_unique<nn::EmbeddingTables>(fields, config.embedding_dim, build, read)));
  }
  int64_t width = 0;
  for (const nn::NetworkConfig& student : config.students) {
    networks_.push_back(
        &add_child(cat("networks.", networks_.size()), nn::make_network(student, embedding().shape(), build)));
    width += networks_.back()->hidden_width();
  }
  if (!ensemble_type(config.kind).trains_output_layers()) {
    concat_ = &add_child("fc", std::make_unique<nn::Linear>(width, 1, build));
  }
}

void Ensemble::divide(int64_t batch_size, Group& group) {
  divided_ = std::make_unique<nn::DividedTables>(embedding().shape().list, batch_size, parameters(), group);
}

ModelInput Ensemble::fetched(const ModelInput& input) const {
  if (!divided_) return input;
  ModelInput own = input;
  own.ids = divided_->fetch(input.ids);
  return own;
}

std::vector<nn::Parameter> Ensemble::owned_parameters() const { return divided_ ? divided_->owned() : parameters(); }

nn::Pass Ensemble::settled(nn::Pass pass) const {
  pass.fused = pass.fused && config_.fused;
  // The distinct ids of a batch are found once per set of tables. That pays where M students share one set.
  pass.distinct = pass.distinct && config_.distinct && config_.shared_embedding;
  return pass;
}

std::vector<nn::Fields> Ensemble::read(const ModelInput& input, const nn::Pass& pass) const {
  std::vector<nn::Fields> all;
  for (const nn::EmbeddingTables* tables : embeddings_) all.emplace_back(*tables, input.ids, input.values, pass);
  if (config_.shared_embedding) all.assign(networks_.size(), nn::Fields(all[0]));
  return all;
}

// The pass that a batch takes for the i-th time in one step: it has other dropout masks.
static nn::Pass pass_number(nn::Pass pass, int i) {
  pass.seed += static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15;
  return pass;
}

Ensemble::Output Ensemble::forward(const ModelInput& input, const nn::Pass& given) const {
  const nn::Pass pass = settled(given);
  const std::vector<nn::Fields> fields = read(input, pass);
  if (const auto combine = ensemble_type(config_.kind).combine; combine != nullptr) {
    Output out;
    std::vector<Tensor> logits;
    for (int i = 0; i < (pass.training ? ensemble_type(config_.kind).objective.passes : 1); ++i) {
      std::vector<Tensor> branches;
      logits.push_back(nn::forward_all(networks_, fields, pass_number(pass, i), &branches));
      out.branches.insert(out.branches.end(), branches.begin(), branches.end());
    }
    out.students = logits.size() == 1 ? logits[0] : ops::concat(logits, 1);
    out.ensemble = combine(out.students);
    return out;
  }
  std::vector<Tensor> logits, hidden;
  for (size_t k = 0; k < networks_.size(); ++k) {
    hidden.push_back(networks_[k]->hidden(fields[k], pass));
    logits.push_back(networks_[k]->output(hidden.back()));
  }
  return {ops::concat(logits, 1), concat_->forward(ops::concat(hidden, 1)), {}};
}

std::vector<std::vector<Tensor>> Ensemble::hidden_layers(const ModelInput& input) const {
  const NoGrad no_grad;
  const nn::Pass plain = settled({});
  const std::vector<nn::Fields> fields = read(input, plain);
  std::vector<std::vector<Tensor>> all;
  for (size_t k = 0; k < networks_.size(); ++k) {
    nn::LayerTap tap;
    nn::Pass pass = plain;
    pass.tap = &tap;
    const Tensor last = networks_[k]->hidden(fields[k], pass);
    if (tap.layers.empty() || !tap.layers.back().same_storage(last)) tap.layers.push_back(last);
    for (const Tensor& layer : tap.layers) {
      KDEF_CHECK(layer.rank() == 2 && layer.size(0) == last.size(0), "network ", config_.students[k].network,
                 ": a hidden layer of ", last.size(0), " rows is ", layer.shape());
    }
    all.push_back(std::move(tap.layers));
  }
  return all;
}

Tensor Ensemble::loss(const Output& output, const Tensor& labels, const Tensor& weights) const {
  Tensor loss = ensemble_type(config_.kind)
                    .objective.loss(task(), {output.students, output.ensemble, labels, weights}, config_.objective,
                                    config_.fused);
  for (size_t k = 0; k < output.branches.size(); ++k) {
    if (!output.branches[k].defined()) continue;
    const Tensor logit = ops::slice(output.students, 1, static_cast<int64_t>(k), 1);
    const Tensor added = networks_[k % networks_.size()]->branch_loss({logit, output.branches[k]}, labels,
                                                                      functions_of(task(), weights));
    if (added.defined()) loss = ops::add(loss, added);
  }
  return loss;
}

}  // namespace kdef
