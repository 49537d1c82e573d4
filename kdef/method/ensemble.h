// The model that is trained: an ensemble of networks over embedding tables. The networks share one set, or have one
// each.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kdef/method/ensembles.h"
#include "kdef/method/input.h"
#include "nn/embedding.h"
#include "nn/networks/network.h"
#include "nn/optimizer/divided_tables.h"

namespace kdef {

struct EnsembleConfig {
  const Task* task = &default_task();
  EnsembleKind kind = EnsembleKind::kdef;
  std::vector<nn::NetworkConfig> students;
  int64_t embedding_dim = 16;
  ObjectiveConfig objective;  // settings of the kind's objective
  /// Fused ops; false: their readable twins, the same numbers up to rounding. They are used where this setting and the
  /// caller's Pass::fused are both true. The loss follows this setting alone.
  bool fused = true;
  /// One set of embedding tables for all students; false: one set per student (the multi-embedding of Guo et al., ICML
  /// 2024, arXiv 2310.04400).
  bool shared_embedding = true;
  /// First layers may work on the batch's distinct ids (nn::Fields::distinct), where Pass::distinct is true as well and
  /// the students share their tables.
  bool distinct = true;
};

/// Names of parameters: embedding_layer.embedding_layer.embedding_layers.FIELD.weight, networks.M.*, and fc.* of a kind
/// with a layer over the hidden layers. If every student has its own tables, their names start with embedding_layers.M
/// in place of embedding_layer.
class Ensemble final : public nn::Module {
 public:
  Ensemble(const EnsembleConfig& config, const std::vector<nn::EmbeddingField>& fields, nn::Builder& build);

  struct Output {
    Tensor students;  // logits [B, M]; in training [B, P M] for the P passes of the objective, pass by pass
    Tensor ensemble;  // logit [B, 1]
    std::vector<Tensor> branches;  // of each column of `students`: nn::NetworkOutput::branches
  };
  Output forward(const ModelInput& input, const nn::Pass& pass) const;
  /// The data loss of a batch, without the regularizers: the objective, and what students add for their branches.
  /// Undefined weights: every row counts once.
  Tensor loss(const Output& output, const Tensor& labels, const Tensor& weights = {}) const;

  /// The hidden layers of each student in evaluation mode, each [B, width]. The last one is the representation that the
  /// student's output layer reads.
  std::vector<std::vector<Tensor>> hidden_layers(const ModelInput& input) const;

  /// Divides the tables of a model, whose fields are those of nn::holding_a_batch() with this batch_size, among the
  /// members of a group, which all have an equal model. forward() then expects an input of fetched().
  void divide(int64_t batch_size, Group& group);
  /// Null for a model that is whole in this process.
  nn::DividedTables* divided() const { return divided_.get(); }
  /// A batch with the rows of its ids in the tables. Collective for divided tables, where an undefined `ids` answers
  /// the others (nn::DividedTables::fetch); otherwise the batch itself.
  ModelInput fetched(const ModelInput& input) const;
  /// The parameters as this process trains and stores them: of a divided table, its own rows.
  std::vector<nn::Parameter> owned_parameters() const;

  /// The device of the parameters, on which forward() expects its input.
  Device device() const { return embedding().device(); }
  const Task& task() const { return *config_.task; }
  size_t student_count() const { return networks_.size(); }
  const EnsembleConfig& config() const { return config_; }
  /// The tables that a student reads.
  const nn::EmbeddingTables& embedding(size_t student = 0) const {
    return *embeddings_[config_.shared_embedding ? 0 : student];
  }

 private:
  // The caller's pass with this ensemble's settings: a way is taken where both allow it.
  nn::Pass settled(nn::Pass pass) const;
  // What each student reads; with shared tables M times the same object.
  std::vector<nn::Fields> read(const ModelInput& input, const nn::Pass& pass) const;

  EnsembleConfig config_;
  std::vector<nn::EmbeddingTables*> embeddings_;
  std::vector<const nn::Network*> networks_;
  nn::Linear* concat_ = nullptr;  // null: the kind combines logits
  std::unique_ptr<nn::DividedTables> divided_;
};

}  // namespace kdef
