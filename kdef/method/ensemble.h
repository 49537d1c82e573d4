// Ensembles of networks over embeddings, shared or one set per network: the model that is trained.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kdef/method/input.h"
#include "kdef/method/objective.h"
#include "nn/embedding.h"
#include "nn/networks/network.h"

namespace kdef {

enum class EnsembleKind {
  kdef,    // teacher q = sigmoid(mean of the students' logits), trained by the KDEF objective
  mean,    // BCE(sigmoid(mean z), y)
  sum,     // BCE(sigmoid(sum z), y)
  concat,  // BCE(sigmoid(W [h_1 .. h_M] + b), y); the students' own output layers stay, untrained
};
const char* name_of(EnsembleKind kind);

struct EnsembleConfig {
  EnsembleKind kind = EnsembleKind::kdef;
  std::vector<nn::NetworkConfig> students;
  int64_t embedding_dim = 16;
  ObjectiveConfig objective;  // of a KDEF ensemble
  bool fused = true;          // fused ops; false: their readable twins, same numbers up to rounding
  /// One set of embedding tables for all students; false: one per student (the multi-embedding of Guo et al., ICML
  /// 2024, arXiv 2310.04400).
  bool shared_embedding = true;
  bool distinct = true;  // in training, where fused: first layers work on the batch's distinct ids
};

/// Parameters: embedding_layer.embedding_layer.embedding_layers.FIELD.weight, networks.M.*, and fc.* of concat. Tables
/// of their own stand under embedding_layers.M in place of embedding_layer.
class Ensemble final : public nn::Module {
 public:
  Ensemble(const EnsembleConfig& config, const std::vector<nn::EmbeddingField>& fields, nn::Builder& build);

  struct Output {
    Tensor students;  // logits [B, M]
    Tensor ensemble;  // logit [B, 1]
  };
  Output forward(const ModelInput& input, const nn::Pass& pass) const;
  /// The data loss of a batch: everything but the regularizers.
  Tensor loss(const Output& output, const Tensor& labels) const;

  /// Per student its hidden layers in evaluation mode, each [B, width]; the last is the representation that its output
  /// layer reads.
  std::vector<std::vector<Tensor>> hidden_layers(const ModelInput& input) const;

  /// Where the parameters are; input comes from there too.
  Device device() const { return embedding().device(); }
  size_t student_count() const { return networks_.size(); }
  const EnsembleConfig& config() const { return config_; }
  /// The tables that a student reads.
  const nn::EmbeddingTables& embedding(size_t student = 0) const {
    return *embeddings_[config_.shared_embedding ? 0 : student];
  }

 private:
  // Per student what it reads; of a shared embedding M times the same tensor.
  std::vector<Tensor> embed(const ModelInput& input) const;
  // Of the students' logits, for every kind but concat.
  Output combined(const Tensor& students) const;
  // Whether the students are computed side by side: in training on a device where launches count.
  bool stacks(const nn::Pass& pass, int64_t rows) const;

  EnsembleConfig config_;
  std::vector<nn::EmbeddingTables*> embeddings_;
  std::vector<nn::Network*> networks_;
  std::vector<const nn::Mlp*> mlps_;  // the same, if all are MLPs and the ensemble reads their logits alone; else empty
  nn::Linear* concat_ = nullptr;
};

}  // namespace kdef
