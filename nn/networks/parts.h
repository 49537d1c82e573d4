// Parts that several networks share.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nn/networks/network.h"

namespace kdef::nn {

/// The hidden layers of `config` as an Mlp takes them, with `output` numbers at its end.
MlpConfig mlp_config(const NetworkConfig& config, int64_t output = 1);

/// The MLP that `keys` describe, of complete settings.
MlpConfig mlp_config(const Settings& settings, const MlpKeys& keys, int64_t output = 1);

/// FuxiCTR's two common names of an MLP's keys: of networks that are an MLP with something beside it, and of networks
/// that have one.
inline MlpKeys hidden_keys() { return {.units = "hidden_units", .activations = "hidden_activations"}; }
inline MlpKeys dnn_keys() { return {.units = "dnn_hidden_units", .activations = "dnn_activations"}; }

/// Throws InputError unless all fields have one dimension, which this network needs.
void require_uniform(const std::string& network, const EmbeddingShape& shape);

/// The fields of these names, in the order of the data set, whatever that of the names. Throws InputError where one is
/// missing; `what` names the setting.
std::vector<EmbeddingField> fields_named(const std::vector<std::string>& names, const std::string& what,
                                         const EmbeddingShape& shape);

/// The places of these fields in `shape`, in the order of the data set. Errors as above.
std::vector<int64_t> field_numbers(const std::vector<std::string>& names, const std::string& what,
                                   const EmbeddingShape& shape);
/// The fields at these places, which ascend, of e [B, F, D]: [B, their number, D].
Tensor chosen_fields(const Tensor& e, const std::vector<int64_t>& places);

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

/// sum over i < j of e_i * e_j = ((sum_f e)^2 - sum_f e^2) / 2 of e [B, F, D]: [B, D].
Tensor sum_of_pairs(const Tensor& e);
/// e_i * e_j for i < j, row by row of the upper triangle, of e [B, F, D]: [B, F (F-1) / 2, D].
Tensor pair_products(const Tensor& e);
/// The same with left(i), [B, 1 or F-1-i, D], in place of e_i.
Tensor pair_products(const Tensor& e, const std::function<Tensor(int64_t i)>& left);
/// (e_i M_ij) * e_j for i < j, e_i a row, of e [B, F, D] and matrices M [F (F-1) / 2, D, D]: [B, F (F-1) / 2, D].
Tensor bilinear_products(const Tensor& e, const Tensor& matrices);
/// The sums over all subsets of k fields of the products of their embeddings, for k = 1 .. order: [B, D] each.
std::vector<Tensor> subset_products(const Tensor& e, int64_t order);
/// The inner products <e_i, e_j> for i < j: [B, F (F-1) / 2].
Tensor inner_products(const Tensor& e);

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
  /// MLP(flatten(e)). Names: NAME.mlp.*.
  void add_mlp(const std::string& name, const MlpConfig& config, const EmbeddingShape& shape, Builder& build);
  /// A child that is there already, on flatten(e).
  void add_mlp(const Mlp& mlp);
  /// A FirstOrder. Names: NAME.*.
  void add_first_order(const std::string& name, bool bias, const EmbeddingShape& shape, Builder& build);
  /// A factorization machine: a FirstOrder with a bias, and the sum over i < j of <e_i, e_j>. Names: NAME.*.
  void add_fm(const std::string& name, const EmbeddingShape& shape, Builder& build);

 private:
  std::vector<Part> parts_;
};

}  // namespace kdef::nn
