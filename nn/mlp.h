// Multilayer perceptron: hidden layers of Linear, normalisation, activation, dropout in this order, then a Linear to
// the output.
#pragma once

#include <string>
#include <vector>

#include "nn/layers.h"
#include "ops/gemm/gemm.h"

namespace kdef::nn {

struct MlpConfig {
  std::vector<int64_t> hidden_units;
  std::vector<Activation> activations;  // one per hidden layer
  std::vector<double> dropout;          // one per hidden layer
  bool batch_norm = false;
  bool layer_norm = false;  // where batch_norm is not set
  int64_t output = 1;       // 0: no output layer
};

/// x [B, in] -> [B, output]. Parameter names are those of a PyTorch Sequential called `mlp` in which every layer that
/// exists takes a number: mlp.0 Linear, mlp.1 BatchNorm, (2 the activation), (3 dropout if its rate is not 0), ...
class Mlp final : public Module {
 public:
  Mlp(int64_t in, const MlpConfig& config, Builder& build);
  /// The output layer's result; the last hidden layer's where there is no output layer.
  Tensor forward(const Tensor& x, const Pass& pass) const;
  Tensor forward(const SplitEmbedding& x, const Pass& pass) const;
  /// The last hidden layer's result [B, hidden_units.back()]; x itself without hidden layers.
  Tensor hidden(const Tensor& x, const Pass& pass) const;
  /// The same of embeddings by distinct ids; needs a hidden layer.
  Tensor hidden(const SplitEmbedding& x, const Pass& pass) const;
  /// The output layer applied to hidden().
  Tensor output(const Tensor& hidden) const;

  /// Whether forward_stacked() computes what forward() of each does: 2 to 64 networks of one shape, with batch norm and
  /// ReLU, equal dropout and one output. In bf16 also: all widths and the rows are at least 16, so that the same
  /// products are rounded, and the widths multiples of 8.
  static bool stackable(const std::vector<const Mlp*>& networks, ops::GemmPrecision precision, int64_t rows);
  /// The outputs of all of them for the same input, in training: [B, in] -> [B, M]. The same numbers as forward() of
  /// each but for the order of sums, by fewer and larger launches (ops/fused/stacked.h).
  static Tensor forward_stacked(const std::vector<const Mlp*>& networks, const Tensor& x, const Pass& pass);

 private:
  struct Hidden {
    Linear* linear = nullptr;
    HiddenTail tail;
  };
  // The last hidden layer before normalisation and activation.
  template <class Input>
  Tensor pre_activation(const Input& x, const Pass& pass) const;
  std::vector<Hidden> layers_;
  Linear* output_ = nullptr;
};

}  // namespace kdef::nn
