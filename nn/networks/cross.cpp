// Networks of explicit cross layers.
#include "nn/networks/networks.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

/// exponential_cross (Li et al., arXiv 2411.16122): x_0 [B, W], W = F D, holds all fields' first halves of the
/// embedding, then all second halves. Per layer, with h = W_l x [B, W/2] and its batch norm over one channel (all
/// values of the batch share mean and variance):
///   x <- x * ([h, h * relu(LayerNorm(h))] + b_l) + x, then dropout.
/// Every layer doubles the order of the interactions. z = fc(x). b_l starts uniform in [0, 1).
class ExponentialCross final : public Network {
 public:
  ExponentialCross(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) : width_(shape.width) {
    require_uniform("exponential_cross", shape);
    if (shape.dim % 2 != 0) {
      throw InputError(cat("network exponential_cross: embedding_dim ", shape.dim, " must be even: it is halved"));
    }
    KDEF_CHECK(config.dropout.size() >= static_cast<size_t>(config.num_cross_layers),
               "exponential_cross: needs a dropout rate for each of its ", config.num_cross_layers, " layers");
    for (int64_t i = 0; i < config.num_cross_layers; ++i) {
      Layer layer;
      const std::string at = "." + std::to_string(i);
      layer.norm = &add_child("layer_norm" + at, std::make_unique<LayerNorm>(width_ / 2, build));
      if (config.batch_norm) layer.batch = &add_child("batch_norm" + at, std::make_unique<BatchNorm1d>(1, build));
      layer.w = &add_child("w" + at, std::make_unique<Linear>(width_, width_ / 2, build, false));
      layer.b = add_parameter("b" + at, build.uniform({width_}, 0, 1));
      const double rate = config.dropout[static_cast<size_t>(i)];
      if (rate > 0) layer.dropout = &add_child("dropout" + at, std::make_unique<Dropout>(rate, build));
      layers_.push_back(layer);
    }
    fc_ = &add_child("fc", std::make_unique<Linear>(width_, 1, build));
  }

  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    const Tensor& e = fields.whole();
    const int64_t rows = e.shape()[0], half = e.shape()[2] / 2;
    const Tensor first = ops::slice(e, 2, 0, half), second = ops::slice(e, 2, half, half);
    Tensor x = ops::concat({flatten(first), flatten(second)}, 1);
    for (const Layer& layer : layers_) {
      Tensor h = layer.w->forward(x);
      if (layer.batch) {
        h = ops::reshape(layer.batch->forward(ops::reshape(h, {h.numel(), 1}), pass), {rows, width_ / 2});
      }
      const Tensor mask = ops::relu(layer.norm->forward(h));
      const Tensor gate = ops::add(ops::concat({h, ops::mul(h, mask)}, 1), layer.b);
      x = ops::add(ops::mul(x, gate), x);
      if (layer.dropout) x = layer.dropout->forward(x, pass);
      pass.show(x);
    }
    return x;
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  struct Layer {
    Linear* w = nullptr;
    BatchNorm1d* batch = nullptr;
    LayerNorm* norm = nullptr;
    Dropout* dropout = nullptr;
    Tensor b;
  };
  int64_t width_;
  std::vector<Layer> layers_;
  Linear* fc_ = nullptr;
};

/// The cross layers of DCNv2 (Wang et al., WWW 2021, arXiv 2008.13535): x_{l+1} = x_l + x_0 * (W_l x_l + b_l).
class CrossLayers final : public Module {
 public:
  CrossLayers(int64_t width, int64_t count, Builder& build) {
    for (int64_t i = 0; i < count; ++i) {
      layers_.push_back(&add_child("cross_layers." + std::to_string(i), std::make_unique<Linear>(width, width, build)));
    }
  }
  Tensor forward(const Tensor& x0, const Pass& pass) const {
    Tensor x = x0;
    for (const Linear* layer : layers_) {
      x = ops::add(x, ops::mul(x0, layer->forward(x)));
      pass.show(x);
    }
    return x;
  }

 private:
  std::vector<Linear*> layers_;
};

/// cross_v2: z = fc(CrossLayers(flatten(e))).
class CrossV2 final : public Network {
 public:
  CrossV2(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : width_(shape.width),
        cross_(add_child("", std::make_unique<CrossLayers>(shape.width, config.num_cross_layers, build))),
        fc_(add_child("fc", std::make_unique<Linear>(shape.width, 1, build))) {}
  Tensor hidden(const Fields& x, const Pass& pass) const override { return cross_.forward(x.flat(), pass); }
  Tensor output(const Tensor& h) const override { return fc_.forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  int64_t width_;
  CrossLayers& cross_;
  Linear& fc_;
};

/// dcnv2 (Wang et al. 2021), parallel: z = fc([MLP without head (x), CrossLayers(x)]), x = flatten(e).
class DcnV2 final : public Network {
 public:
  DcnV2(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : width_(nn::hidden_width(config, shape.width) + shape.width),
        cross_(add_child("crossnet", std::make_unique<CrossLayers>(shape.width, config.num_cross_layers, build))),
        dnn_(add_child("dnn", std::make_unique<Mlp>(shape.width, mlp_config(config, 0), build))),
        fc_(add_child("fc", std::make_unique<Linear>(width_, 1, build))) {}
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    const Tensor x = fields.flat();
    return ops::concat({dnn_.forward(x, pass), cross_.forward(x, pass)}, 1);
  }
  Tensor output(const Tensor& h) const override { return fc_.forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  int64_t width_;
  CrossLayers& cross_;
  Mlp& dnn_;
  Linear& fc_;
};

}  // namespace

std::unique_ptr<Network> make_exponential_cross(const NetworkConfig& c, const EmbeddingShape& s, Builder& b) {
  return std::make_unique<ExponentialCross>(c, s, b);
}
std::unique_ptr<Network> make_cross_v2(const NetworkConfig& c, const EmbeddingShape& s, Builder& b) {
  return std::make_unique<CrossV2>(c, s, b);
}
std::unique_ptr<Network> make_dcnv2(const NetworkConfig& c, const EmbeddingShape& s, Builder& b) {
  return std::make_unique<DcnV2>(c, s, b);
}

}  // namespace kdef::nn
