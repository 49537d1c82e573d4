// Embeddings and settings that every network can be built with.
#pragma once

#include "nn/networks/registry.h"
#include "ops/check/gradcheck.h"

namespace kdef::nn::test {

/// A batch of six rows has ids [6, 4] and values [6, 1]. Padding stands in sequences only: a categorical column reads
/// row 0 of its table, but the row gets no gradient.
inline std::vector<EmbeddingField> some_fields() {
  using Kind = EmbeddingField::Kind;
  return {{.name = "user", .kind = Kind::id, .vocab_size = 5, .source = "user"},
          {.name = "tags", .kind = Kind::average, .vocab_size = 6, .max_len = 2, .source = "item"},
          {.name = "price", .kind = Kind::numeric, .source = "context"},
          {.name = "item", .kind = Kind::id, .vocab_size = 4, .source = "item"}};
}
inline Tensor some_ids() {
  return Tensor::from<int32_t>({1, 2, 0, 3, 2, 1, 5, 1, 4, 3, 3, 2, 1, 4, 0, 1, 3, 5, 2, 3, 2, 0, 0, 1}, {6, 4});
}
inline Tensor some_values() { return ops::random_uniform({6, 1}, -1, 1, 3); }

/// Two hidden layers with batch norm and the small values of the network's own settings.
inline NetworkConfig small_config(const std::string& network) {
  const NetworkType& type = network_type(network);
  NetworkConfig config{
      .network = network, .hidden_units = {6, 4}, .hidden_activations = {"relu", "tanh"}, .batch_norm = true};
  for (const SettingKey& key : type.keys) config.settings.set(key.name, key.small);
  if (type.hidden_layers == HiddenLayers::none) config.hidden_units = {}, config.hidden_activations = {};
  config.dropout.assign(type.dropout_rates(config.hidden_units.size(), config.settings), 0.0);
  return config;
}

/// Draws all parameters from [-1, 1]: initial values that are zero or one hide errors.
inline void scramble(const Module& module, uint64_t seed) {
  for (Parameter& p : module.parameters()) p.tensor.copy_from(ops::random_uniform(p.tensor.shape(), -1, 1, seed++));
}

}  // namespace kdef::nn::test
