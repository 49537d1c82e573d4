// Deep & Cross networks of the second version.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

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
        cross_(add_child(
            "", std::make_unique<CrossLayers>(shape.width, config.settings.integer("num_cross_layers"), build))),
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
      : cross_(add_child("crossnet", std::make_unique<CrossLayers>(
                                         shape.width, config.settings.integer("num_cross_layers"), build))),
        dnn_(add_child("dnn", std::make_unique<Mlp>(shape.width, mlp_config(config, 0), build))),
        width_(dnn_.hidden_width() + shape.width),
        fc_(add_child("fc", std::make_unique<Linear>(width_, 1, build))) {}
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    const Tensor x = fields.flat();
    return ops::concat({dnn_.forward(x, pass), cross_.forward(x, pass)}, 1);
  }
  Tensor output(const Tensor& h) const override { return fc_.forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  CrossLayers& cross_;
  Mlp& dnn_;
  int64_t width_;
  Linear& fc_;
};

SettingKey num_cross_layers() {
  return integer_setting("num_cross_layers", 3, 1, kMaxLayers, "number of cross layers").with_small(2);
}

}  // namespace

NetworkType cross_v2_network() {
  return {.name = "cross_v2",
          .title = "The cross layers of DCNv2, alone",
          .source = "Wang et al., WWW 2021, arXiv 2008.13535",
          .formula = "z = fc(x_L), x_{l+1} = x_l + x_0 * (W_l x_l + b_l)",
          .make = make<CrossV2>,
          .hidden_layers = HiddenLayers::none,
          .dropout_layers = "num_cross_layers",
          .keys = {num_cross_layers()}};
}

NetworkType dcnv2_network() {
  return {.name = "dcnv2",
          .title = "Deep & Cross network, version 2, parallel (DCNv2)",
          .source = "Wang et al., WWW 2021, arXiv 2008.13535",
          .formula = "z = fc([MLP(x), x_L]), x_{l+1} = x_l + x_0 * (W_l x_l + b_l)",
          .make = make<DcnV2>,
          .keys = {num_cross_layers()}};
}

}  // namespace kdef::nn
