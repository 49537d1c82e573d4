// Parts that several networks share.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nn/networks/network.h"

namespace kdef::nn {

/// The hidden layers of `config` as an Mlp takes them, with `output` numbers at its end.
MlpConfig mlp_config(const NetworkConfig& config, int64_t output = 1);

/// Throws InputError unless all fields have one dimension, which this network needs.
void require_uniform(const std::string& network, const EmbeddingShape& shape);

/// The first-order part of FuxiCTR's networks: z = sum over the fields of one number per id (or number times value),
/// plus a bias if wanted. Every field has a separate table [V, 1], and the numbers of a sequence are summed. Names:
/// bias, embedding_layer.embedding_layer.embedding_layers.FIELD.weight.
class FirstOrder final : public Module {
 public:
  /// Throws Error where `shape` does not list the fields.
  FirstOrder(const EmbeddingShape& shape, bool bias, Builder& build);
  /// [B, 1].
  Tensor forward(const Fields& fields) const;

 private:
  EmbeddingTables& tables_;
  Tensor bias_;
};

/// A network whose logit is a sum of parts. hidden() concatenates the parts' inputs; output() adds the parts' logits.
class SumNetwork : public Network {
 public:
  Tensor hidden(const Fields& fields, const Pass& pass) const final;
  Tensor output(const Tensor& hidden) const final;
  int64_t hidden_width() const final;

 protected:
  struct Part {
    int64_t width;
    std::function<Tensor(const Fields&, const Pass&)> hidden;  // [B, width]
    std::function<Tensor(const Tensor&)> output;               // [B, width] -> [B, 1]
  };
  void add_part(Part part) { parts_.push_back(std::move(part)); }

  /// w . flatten(e) + b. Names: NAME.weight, NAME.bias.
  void add_linear(const std::string& name, const EmbeddingShape& shape, Builder& build);
  /// MLP(flatten(e)). Names: dnn.*.
  void add_mlp(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build);

 private:
  std::vector<Part> parts_;
};

}  // namespace kdef::nn
