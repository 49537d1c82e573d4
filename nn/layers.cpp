#include "nn/layers.h"

#include "ops/fused/hidden_linear.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace kdef::nn {

Linear::Linear(int64_t in, int64_t out, Builder& build, bool bias)
    : weight_(add_parameter("weight", build.xavier_normal(out, in))) {
  if (bias) bias_ = add_parameter("bias", build.constant({out}, 0));
}

Tensor Linear::forward(const Tensor& x) const { return ops::linear(x, weight_, bias_); }

Tensor Linear::forward(const Fields& x) const {
  const DistinctFields* d = x.distinct();
  return d ? ops::distinct_linear(d->rows, d->dense, d->ids, d->fields, weight_, bias_) : forward(x.flat());
}

BatchNorm1d::BatchNorm1d(int64_t columns, Builder& build)
    : weight_(add_parameter("weight", build.constant({columns}, 1))),
      bias_(add_parameter("bias", build.constant({columns}, 0))),
      running_mean_(add_buffer("running_mean", build.constant({columns}, 0))),
      running_var_(add_buffer("running_var", build.constant({columns}, 1))) {}

Tensor BatchNorm1d::forward(const Tensor& x, const Pass& pass) const {
  return pass.training ? ops::batch_norm(x, weight_, bias_, running_mean_, running_var_)
                       : ops::batch_norm_eval(x, weight_, bias_, running_mean_, running_var_);
}

LayerNorm::LayerNorm(int64_t columns, Builder& build)
    : weight_(add_parameter("weight", build.constant({columns}, 1))),
      bias_(add_parameter("bias", build.constant({columns}, 0))) {}

Tensor LayerNorm::forward(const Tensor& x) const { return ops::layer_norm(x, weight_, bias_); }

Tensor Dropout::forward(const Tensor& x, const Pass& pass) const {
  return pass.training ? ops::dropout(x, p_, key(pass)) : x;
}

ops::HiddenLayer HiddenTail::fused_layer(const Pass& pass) const {
  return {.gamma = batch_norm->weight(),
          .beta = batch_norm->bias(),
          .running_mean = {batch_norm->running_mean()},
          .running_var = {batch_norm->running_var()},
          .training = pass.training,
          .p = dropout_rate(),
          .keys = {dropout_key(pass)}};
}

Tensor HiddenTail::forward(const Tensor& x, const Pass& pass) const {
  Tensor h = x;
  if (fused(pass)) {
    h = ops::batch_norm_relu_dropout(h, fused_layer(pass));
  } else {
    if (batch_norm != nullptr) h = batch_norm->forward(h, pass);
    if (layer_norm != nullptr) h = layer_norm->forward(h);
    if (activation != nullptr) h = activation->forward(h, pass);
    if (dropout != nullptr) h = dropout->forward(h, pass);
  }
  pass.show(h);
  return h;
}

Tensor HiddenTail::forward_linear(const Tensor& x, const Linear& next, const Pass& pass) const {
  // hidden_linear never holds the whole hidden layer, so a tap needs the separate ops.
  if (fused(pass) && pass.tap == nullptr &&
      ops::hidden_linear_pays(x.shape()[0], next.weight().shape()[1], next.weight().shape()[0])) {
    return ops::hidden_linear(x, fused_layer(pass), next.weight(), next.bias());
  }
  return next.forward(forward(x, pass));
}

}  // namespace kdef::nn
