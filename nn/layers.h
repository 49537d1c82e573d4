// The layers networks are built from.
#pragma once

#include <string>

#include "nn/embedding.h"
#include "nn/module.h"
#include "ops/dropout.h"

namespace kdef::nn {

/// y = x W^T + b: x [B, in] -> [B, out]. Weight Xavier normal, bias 0. Names: weight [out, in], bias [out].
class Linear final : public Module {
 public:
  Linear(int64_t in, int64_t out, Builder& build, bool bias = true);
  Tensor forward(const Tensor& x) const;
  /// The same of embeddings by distinct ids.
  Tensor forward(const SplitEmbedding& x) const;
  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }

 private:
  Tensor weight_, bias_;
};

/// Zeroes elements with probability p in training, and scales the rest by 1 / (1 - p).
class Dropout final : public Module {
 public:
  Dropout(double p, Builder& build) : p_(p), layer_(build.next_dropout()) {}
  Tensor forward(const Tensor& x, const Pass& pass) const;

  double rate() const { return p_; }
  ops::DropoutKey key(const Pass& pass) const {
    return ops::dropout_key(pass.seed, layer_, pass.step, pass.device_step);
  }

 private:
  double p_;
  uint64_t layer_;
};

/// Batch normalisation of [B, C] per column; weight 1, bias 0, eps 1e-5, momentum 0.1.
/// Names: weight, bias; buffers running_mean, running_var.
class BatchNorm1d final : public Module {
 public:
  BatchNorm1d(int64_t columns, Builder& build);
  Tensor forward(const Tensor& x, const Pass& pass) const;
  /// dropout(relu(forward(x))) in one fused op; `dropout` may be null.
  Tensor forward_relu_dropout(const Tensor& x, const Dropout* dropout, const Pass& pass) const;
  /// linear.forward(forward_relu_dropout(x)) in one fused op.
  Tensor forward_relu_dropout_linear(const Tensor& x, const Dropout* dropout, const Linear& linear,
                                     const Pass& pass) const;

  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }
  const Tensor& running_mean() const { return running_mean_; }
  const Tensor& running_var() const { return running_var_; }

 private:
  Tensor weight_, bias_, running_mean_, running_var_;
};

/// Layer normalisation over the last axis of [.., C]. Names: weight, bias.
class LayerNorm final : public Module {
 public:
  LayerNorm(int64_t columns, Builder& build);
  Tensor forward(const Tensor& x) const;

 private:
  Tensor weight_, bias_;
};

enum class Activation { none, relu, sigmoid, tanh };
/// By its name, in any case of letters: relu, sigmoid, tanh, none (also linear, null); throws InputError otherwise.
Activation parse_activation(const std::string& name);
Tensor activate(const Tensor& x, Activation activation);

/// What follows the linear map of a hidden layer: normalisation, activation, dropout, each where there is one.
struct HiddenTail {
  const BatchNorm1d* batch_norm = nullptr;
  const LayerNorm* layer_norm = nullptr;
  Activation activation = Activation::none;
  const Dropout* dropout = nullptr;

  /// Batch norm, ReLU and dropout in one op where pass.fused; the result is shown to pass.tap.
  Tensor forward(const Tensor& x, const Pass& pass) const;
  /// linear.forward(forward(x, pass)), in one op where that is possible and pays.
  Tensor forward_linear(const Tensor& x, const Linear& linear, const Pass& pass) const;

 private:
  // Whether there are fused ops for it.
  bool fused(const Pass& pass) const { return pass.fused && batch_norm != nullptr && activation == Activation::relu; }
};

}  // namespace kdef::nn
