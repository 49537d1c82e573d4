// Multilayer perceptron: hidden layers, each a Linear, normalisation, activation and dropout in this order, and then a
// Linear to the output.
#pragma once

#include <string>
#include <vector>

#include "nn/layers.h"
#include "ops/gemm/gemm.h"
#include "ops/gemm/route.h"

namespace kdef::nn {

struct MlpConfig {
  std::vector<int64_t> hidden_units;
  std::vector<Activation> activations;  // one per hidden layer
  std::vector<double> dropout;          // one per hidden layer
  bool batch_norm = false;
  bool layer_norm = false;  // unused where batch_norm is set
  int64_t output = 1;       // 0: no output layer
};

/// x [B, in] -> [B, output]; x is a tensor, or the Fields of a batch, of which it reads the flattened embeddings.
/// Parameter names are those of a PyTorch Sequential called `mlp`, in which every layer that exists takes a number:
/// mlp.0 Linear, mlp.1 BatchNorm, (2 the activation), (3 the dropout, if its rate is not 0), ...
class Mlp final : public Module {
 public:
  Mlp(int64_t in, const MlpConfig& config, Builder& build);
  /// The output layer's result, or the last hidden layer's where there is no output layer.
  Tensor forward(const Tensor& x, const Pass& pass) const;
  Tensor forward(const Fields& x, const Pass& pass) const;
  /// The last hidden layer's result [B, hidden_width()]; x itself (flattened) without hidden layers.
  Tensor hidden(const Tensor& x, const Pass& pass) const;
  Tensor hidden(const Fields& x, const Pass& pass) const;
  /// The output layer applied to the result of hidden().
  Tensor output(const Tensor& hidden) const;
  /// hidden_units.back(), or `in` without hidden layers.
  int64_t hidden_width() const { return hidden_width_; }

  /// Whether forward_stacked() can compute the outputs of `networks`: 2 to 64 networks of one shape, with batch norm
  /// and ReLU, equal dropout and one output. In bf16 also: all widths are at least 16, so that the same products are
  /// rounded, and multiples of 8; and stacks_rows() is true.
  static bool stackable(const std::vector<const Mlp*>& networks, ops::GemmPrecision precision);
  /// Whether forward_stacked() can compute so many rows: in bf16 at least 16, so that the same products are rounded.
  static bool stacks_rows(ops::GemmPrecision precision, int64_t rows) {
    return precision != ops::GemmPrecision::bf16 || rows >= ops::kMinRounded;
  }
  /// The outputs of all networks for the same input in training: [B, in] -> [B, M]. Fewer and larger launches compute
  /// the numbers that forward() of each network has, up to the order of sums (ops/fused/stacked.h).
  static Tensor forward_stacked(const std::vector<const Mlp*>& networks, const Tensor& x, const Pass& pass);

 private:
  struct Hidden {
    Linear* linear = nullptr;
    HiddenTail tail;
  };
  // `Input` is Tensor or Fields.
  template <class Input>
  Tensor forward_of(const Input& x, const Pass& pass) const;
  // The last hidden layer before its normalisation and activation; needs a hidden layer.
  template <class Input>
  Tensor pre_activation(const Input& x, const Pass& pass) const;

  int64_t hidden_width_;
  std::vector<Hidden> layers_;
  Linear* output_ = nullptr;
};

}  // namespace kdef::nn
