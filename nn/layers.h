// The layers that networks are built from.
#pragma once

#include "nn/activations.h"
#include "nn/fields.h"
#include "nn/module.h"
#include "ops/norm.h"

namespace kdef::nn {

/// y = x W^T + b: x [B, in] -> [B, out]. Weight Xavier normal, bias 0. Names: weight [out, in], bias [out].
class Linear final : public Module {
 public:
  Linear(int64_t in, int64_t out, Builder& build, bool bias = true);
  Tensor forward(const Tensor& x) const;
  /// The same for the flattened embeddings of a batch: x.flat(), or its distinct ids where the batch has them.
  Tensor forward(const Fields& x) const;
  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }

 private:
  Tensor weight_, bias_;
};

/// In training, sets elements to zero with probability p and multiplies the others by 1 / (1 - p). The leading axis of
/// x is the rows of the batch.
class Dropout final : public Module {
 public:
  Dropout(double p, Builder& build) : p_(p), layer_(build.next_dropout()) {}
  Tensor forward(const Tensor& x, const Pass& pass) const;

  double rate() const { return p_; }
  ops::DropoutKey key(const Pass& pass) const {
    ops::DropoutKey key = ops::dropout_key(pass.seed, layer_, pass.step, pass.device_step);
    key.first_row = pass.first_row;
    return key;
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
  /// Normalises by the batch's mean and variance in training, and updates the running ones; otherwise by the running
  /// mean and variance.
  Tensor forward(const Tensor& x, const Pass& pass) const;

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

/// The parts of a hidden layer that follow its linear map: normalisation, activation and dropout, each optional. Only
/// this class decides whether a fused op computes the hidden layer.
struct HiddenTail {
  const BatchNorm1d* batch_norm = nullptr;
  const LayerNorm* layer_norm = nullptr;
  const ActivationLayer* activation = nullptr;
  const Dropout* dropout = nullptr;

  /// The hidden layer, from the result x of the linear map. Gives the hidden layer to pass.tap.
  Tensor forward(const Tensor& x, const Pass& pass) const;
  /// next.forward(forward(x, pass)): in one op where that is possible and faster.
  Tensor forward_linear(const Tensor& x, const Linear& next, const Pass& pass) const;

  /// The hidden layer as one op. Needs batch norm.
  ops::HiddenLayer fused_layer(const Pass& pass) const;

  bool is_relu() const { return activation != nullptr && activation->kind() == Activation::relu; }
  double dropout_rate() const { return dropout ? dropout->rate() : 0.0; }
  ops::DropoutKey dropout_key(const Pass& pass) const { return dropout ? dropout->key(pass) : ops::DropoutKey{}; }

 private:
  // Whether fused ops can compute this hidden layer.
  bool fused(const Pass& pass) const { return pass.fused && batch_norm != nullptr && is_relu(); }
};

}  // namespace kdef::nn
