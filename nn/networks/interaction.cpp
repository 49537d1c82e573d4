// Networks that multiply fields with each other, alone or beside an MLP.
//
// Where a logit is a sum of parts, hidden() holds what the parts read, side by side, and output() adds them up.
#include <functional>

#include "nn/networks/networks.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/pairs.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

/// product (IPNN; Qu et al., ICDM 2016, arXiv 1611.00144): z = MLP([flatten(e), <e_i, e_j> for i < j]).
class Product final : public Network {
 public:
  Product(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : dnn_(add_child("dnn", std::make_unique<Mlp>(input(shape), mlp_config(config), build))),
        width_(nn::hidden_width(config, input(shape))) {
    require_uniform("product", shape);
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    const Tensor& e = x.whole();
    const Tensor products = ops::upper_triangle(ops::matmul(e, e, false, true));
    return dnn_.hidden(ops::concat({x.flat(), products}, 1), pass);
  }
  Tensor output(const Tensor& h) const override { return dnn_.output(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  static int64_t input(const EmbeddingShape& s) { return s.width + s.fields * (s.fields - 1) / 2; }
  Mlp& dnn_;
  int64_t width_;
};

/// finalnet (FINAL; Zhu et al., SIGIR 2023): field gate g = W_g e over the field axis, x = flatten([e ; e * g]); each
/// hidden layer's linear map gives halves [h2, h1] that become [h2, h1 * h2] before batch norm, activation and dropout;
/// z = fc(x). The gate starts as any Linear, as in the published runs, or at weight 0 and
/// bias 1 (gate_starts_open), where it passes everything.
class FinalNet final : public Network {
 public:
  FinalNet(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : width_(nn::hidden_width(config, 2 * shape.width)) {
    require_uniform("finalnet", shape);
    const MlpConfig mlp = mlp_config(config);
    int64_t width = 2 * shape.width;
    for (size_t i = 0; i < mlp.hidden_units.size(); ++i) {
      const int64_t units = mlp.hidden_units[i];
      if (units % 2 != 0)
        throw InputError(cat("network finalnet: hidden_units ", units, " must be even: they are halved"));
      const std::string at = "." + std::to_string(i);
      Layer layer;
      layer.linear = &add_child("layer" + at + ".linear", std::make_unique<Linear>(width, units, build));
      if (mlp.batch_norm) layer.tail.batch_norm = &add_child("norm" + at, std::make_unique<BatchNorm1d>(units, build));
      layer.tail.activation = mlp.activations[i];
      if (mlp.dropout[i] > 0)
        layer.tail.dropout = &add_child("dropout" + at, std::make_unique<Dropout>(mlp.dropout[i], build));
      layers_.push_back(layer);
      width = units;
    }
    gate_ = &add_child("field_gate.linear", std::make_unique<Linear>(shape.fields, shape.fields, build));
    if (config.gate_starts_open) {
      for (Parameter& p : gate_->parameters()) p.tensor.fill(p.name == "bias" ? 1 : 0);
    }
    fc_ = &add_child("fc", std::make_unique<Linear>(width, 1, build));
  }
  Tensor hidden(const Fields& batch, const Pass& pass) const override {
    const Tensor& e = batch.whole();
    const int64_t rows = e.shape()[0], fields = e.shape()[1], dim = e.shape()[2];
    const Tensor by_dim = ops::reshape(ops::transpose(e, 1, 2), {rows * dim, fields});
    const Tensor gate = ops::transpose(ops::reshape(gate_->forward(by_dim), {rows, dim, fields}), 1, 2);
    Tensor x = flatten(ops::concat({e, ops::mul(e, gate)}, 1));
    for (const Layer& layer : layers_) {
      const Tensor h = layer.linear->forward(x);
      const int64_t half = h.shape()[1] / 2;
      const Tensor h2 = ops::slice(h, 1, 0, half), h1 = ops::slice(h, 1, half, half);
      x = layer.tail.forward(ops::concat({h2, ops::mul(h1, h2)}, 1), pass);
    }
    return x;
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  struct Layer {
    Linear* linear = nullptr;
    HiddenTail tail;
  };
  int64_t width_;
  std::vector<Layer> layers_;
  Linear* gate_ = nullptr;
  Linear* fc_ = nullptr;
};

/// Parts whose inputs stand side by side in hidden() and whose logits are added in output().
class SumNetwork : public Network {
 public:
  Tensor hidden(const Fields& x, const Pass& pass) const final {
    std::vector<Tensor> all;
    for (const Part& part : parts_) all.push_back(part.hidden(x, pass));
    return all.size() == 1 ? all[0] : ops::concat(all, 1);
  }
  Tensor output(const Tensor& h) const final {
    Tensor z;
    int64_t first = 0;
    for (const Part& part : parts_) {
      const Tensor logit = part.output(parts_.size() == 1 ? h : ops::slice(h, 1, first, part.width));
      z = z.defined() ? ops::add(z, logit) : logit;
      first += part.width;
    }
    return z;
  }
  int64_t hidden_width() const final {
    int64_t width = 0;
    for (const Part& part : parts_) width += part.width;
    return width;
  }

 protected:
  struct Part {
    int64_t width;
    std::function<Tensor(const Fields&, const Pass&)> hidden;
    std::function<Tensor(const Tensor&)> output;
  };

  /// w . flatten(e) + b. Names: NAME.weight, NAME.bias.
  void add_linear(const std::string& name, const EmbeddingShape& shape, Builder& build) {
    Linear& lr = add_child(name, std::make_unique<Linear>(shape.width, 1, build));
    parts_.push_back({shape.width, [](const Fields& x, const Pass&) { return x.flat(); },
                      [&lr](const Tensor& h) { return lr.forward(h); }});
  }
  /// MLP(flatten(e)).
  void add_mlp(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    Mlp& dnn = add_child("dnn", std::make_unique<Mlp>(shape.width, mlp_config(config), build));
    parts_.push_back({nn::hidden_width(config, shape.width),
                      [&dnn](const Fields& x, const Pass& pass) { return dnn.hidden(x.flat(), pass); },
                      [&dnn](const Tensor& h) { return dnn.output(h); }});
  }
  /// sum over i < j of <e_i, e_j> = sum over d of ((sum_f e)^2 - sum_f e^2) / 2 (Rendle, ICDM 2010).
  void add_pairs(const EmbeddingShape& shape) {
    parts_.push_back({shape.dim,
                      [](const Fields& x, const Pass&) {
                        const Tensor& e = x.whole();
                        return ops::scale(ops::sub(ops::square(ops::sum(e, 1)), ops::sum(ops::square(e), 1)), 0.5);
                      },
                      [](const Tensor& h) { return ops::sum(h, 1, true); }});
  }
  /// The compressed interaction network of xDeepFM (Lian et al., KDD 2018, arXiv 1803.05170): X_0 = e [B, F, D],
  /// X_l[h] = sum over (i, j) of W_l[h, i, j] X_0[i] * X_{l-1}[j] + b_l[h]; the sums over d of all X_l, then a Linear.
  /// Names: PREFIXcin_layer.layer_L.weight [H_l, F H_{l-1}, 1], .bias, PREFIXfc.
  void add_cin(const std::string& prefix, const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    if (config.cin_units.empty()) throw InputError("network cin or xdeepfm: cin_units must name at least one layer");
    int64_t before = shape.fields, total = 0;
    std::vector<std::pair<Tensor, Tensor>> layers;
    for (size_t i = 0; i < config.cin_units.size(); ++i) {
      const int64_t units = config.cin_units[i], in = shape.fields * before;
      const std::string name = cat(prefix, "cin_layer.layer_", i + 1);
      const Tensor w = add_parameter(name + ".weight", build.xavier_normal(units, in).alias({units, in, 1}));
      layers.emplace_back(w, add_parameter(name + ".bias", build.constant({units}, 0)));
      before = units;
      total += units;
    }
    Linear& fc = add_child(prefix + "fc", std::make_unique<Linear>(total, 1, build));
    parts_.push_back({total,
                      [layers](const Fields& batch, const Pass&) {
                        const Tensor& e = batch.whole();
                        const int64_t rows = e.shape()[0], fields = e.shape()[1], dim = e.shape()[2];
                        const Tensor x0 = ops::reshape(e, {rows, fields, 1, dim});
                        Tensor x = e;
                        std::vector<Tensor> pooled;
                        for (const auto& [w, b] : layers) {
                          const int64_t h = x.shape()[1], units = w.shape()[0];
                          const Tensor pairs =
                              ops::reshape(ops::mul(x0, ops::reshape(x, {rows, 1, h, dim})), {rows, fields * h, dim});
                          const Tensor by_dim = ops::reshape(ops::transpose(pairs, 1, 2), {rows * dim, fields * h});
                          const Tensor y = ops::linear(by_dim, ops::reshape(w, {units, fields * h}), b);
                          x = ops::transpose(ops::reshape(y, {rows, dim, units}), 1, 2);
                          pooled.push_back(ops::sum(x, 2));
                        }
                        return ops::concat(pooled, 1);
                      },
                      [&fc](const Tensor& h) { return fc.forward(h); }});
  }

 private:
  std::vector<Part> parts_;
};

/// logistic_regression: z = w . flatten(e) + b.
class LogisticRegression final : public SumNetwork {
 public:
  LogisticRegression(const NetworkConfig&, const EmbeddingShape& shape, Builder& build) {
    add_linear("lr_layer", shape, build);
  }
};

/// wide_deep (Cheng et al. 2016, arXiv 1606.07792) on embeddings: linear + mlp.
class WideDeep final : public SumNetwork {
 public:
  WideDeep(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    add_linear("lr_layer.lr_layer", shape, build);
    add_mlp(config, shape, build);
  }
};

/// fm (Rendle, ICDM 2010) on embeddings: linear + all pairs' inner products.
class Fm final : public SumNetwork {
 public:
  Fm(const NetworkConfig&, const EmbeddingShape& shape, Builder& build) {
    require_uniform("fm", shape);
    add_linear("lr_layer", shape, build);
    add_pairs(shape);
  }
};

/// deepfm (Guo et al., IJCAI 2017, arXiv 1703.04247): fm + mlp.
class DeepFm final : public SumNetwork {
 public:
  DeepFm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform("deepfm", shape);
    add_linear("lr_layer", shape, build);
    add_pairs(shape);
    add_mlp(config, shape, build);
  }
};

/// cin: the compressed interaction network alone.
class Cin final : public SumNetwork {
 public:
  Cin(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform("cin", shape);
    add_cin("", config, shape, build);
  }
};

/// xdeepfm (Lian et al., KDD 2018): linear + cin + mlp.
class XDeepFm final : public SumNetwork {
 public:
  XDeepFm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform("xdeepfm", shape);
    add_linear("lr_layer.lr_layer", shape, build);
    add_cin("cin.", config, shape, build);
    add_mlp(config, shape, build);
  }
};

/// afn (Cheng, Shen, Huang, AAAI 2020, arXiv 1909.03276): logarithmic neurons v = exp(W BN(ln max(|e|, 1e-5))) over the
/// fields, batch norm over the neurons, an MLP; beside it an MLP on the embeddings; z = fc([both logits]).
/// Batch norm of [B, C, D] is over batch and dimension, per channel C.
class Afn final : public Network {
 public:
  Afn(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : neurons_(config.logarithmic_neurons),
        width_(nn::hidden_width(afn_config(config), shape.dim * neurons_)),
        dnn_width_(nn::hidden_width(config, shape.width)),
        coefficients_(add_child("coefficient_W", std::make_unique<Linear>(shape.fields, neurons_, build, false))),
        dense_(add_child("dense_layer",
                         std::make_unique<Mlp>(shape.dim * neurons_, mlp_config(afn_config(config)), build))),
        log_norm_(add_child("log_batch_norm", std::make_unique<BatchNorm1d>(shape.fields, build))),
        exp_norm_(add_child("exp_batch_norm", std::make_unique<BatchNorm1d>(neurons_, build))),
        dnn_(add_child("dnn", std::make_unique<Mlp>(shape.width, mlp_config(config), build))),
        fc_(add_child("fc", std::make_unique<Linear>(2, 1, build))) {
    require_uniform("afn", shape);
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    const Tensor& e = x.whole();
    const int64_t rows = e.shape()[0], fields = e.shape()[1], dim = e.shape()[2];
    const Tensor magnitude = ops::log(ops::clamp_min(ops::abs(e), 1e-5));
    // Rows of [B D, channels]: batch norm and the linear map both act on the channels.
    const Tensor logs = log_norm_.forward(ops::reshape(ops::transpose(magnitude, 1, 2), {rows * dim, fields}), pass);
    const Tensor neurons = exp_norm_.forward(ops::exp(coefficients_.forward(logs)), pass);
    const Tensor cross = ops::transpose(ops::reshape(neurons, {rows, dim, neurons_}), 1, 2);
    return ops::concat({dense_.hidden(flatten(cross), pass), dnn_.hidden(x.flat(), pass)}, 1);
  }
  Tensor output(const Tensor& h) const override {
    const Tensor afn = dense_.output(ops::slice(h, 1, 0, width_));
    const Tensor dnn = dnn_.output(ops::slice(h, 1, width_, dnn_width_));
    return fc_.forward(ops::concat({afn, dnn}, 1));
  }
  int64_t hidden_width() const override { return width_ + dnn_width_; }

 private:
  // The MLP behind the neurons has its own widths.
  static NetworkConfig afn_config(NetworkConfig config) {
    config.hidden_units = config.afn_hidden_units;
    config.hidden_activations.resize(config.hidden_units.size(), "relu");
    config.dropout.resize(config.hidden_units.size(), config.dropout.empty() ? 0.0 : config.dropout.back());
    return config;
  }
  int64_t neurons_, width_, dnn_width_;
  Linear& coefficients_;
  Mlp& dense_;
  BatchNorm1d &log_norm_, &exp_norm_;
  Mlp& dnn_;
  Linear& fc_;
};

}  // namespace

#define KDEF_MAKER(function, Class)                                                                \
  std::unique_ptr<Network> function(const NetworkConfig& c, const EmbeddingShape& s, Builder& b) { \
    return std::make_unique<Class>(c, s, b);                                                       \
  }
KDEF_MAKER(make_product, Product)
KDEF_MAKER(make_finalnet, FinalNet)
KDEF_MAKER(make_fm, Fm)
KDEF_MAKER(make_deepfm, DeepFm)
KDEF_MAKER(make_logistic_regression, LogisticRegression)
KDEF_MAKER(make_wide_deep, WideDeep)
KDEF_MAKER(make_cin, Cin)
KDEF_MAKER(make_xdeepfm, XDeepFm)
KDEF_MAKER(make_afn, Afn)
#undef KDEF_MAKER

}  // namespace kdef::nn
