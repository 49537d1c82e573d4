// Convolutions over the fields with k-max pooling.
#include <algorithm>
#include <cmath>

#include "nn/networks/convolution.h"
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/layout.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

/// The fields that layer l of L (from 1) keeps: max(3, (1 - (l / L)^(L - l)) F) rounded down, the last layer 3.
int64_t kept_fields(size_t layer, size_t layers, int64_t fields) {
  if (layer == layers) return 3;
  const double part = static_cast<double>(layer) / static_cast<double>(layers);
  const double share = 1 - std::pow(part, static_cast<double>(layers - layer));
  return std::max<int64_t>(3, static_cast<int64_t>(share * static_cast<double>(fields)));
}

/// CCPM (Liu et al., CIKM 2015): the embeddings are an image of one channel; per layer a convolution over the fields
/// with kernel height h and h - 1 rows of zeros at both ends, the k largest values of every column in their order
/// (kept_fields), and the activation; z = w . flatten + b. Names: conv_layer.conv_layer.{4 l + 1}.*, fc.*.
class Ccpm final : public Network {
 public:
  Ccpm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    const auto &channels = s.integers("channels"), &heights = s.integers("kernel_heights");
    if (channels.empty()) throw InputError("network CCPM: channels needs a number for each layer, and has none");
    if (heights.size() != channels.size() && heights.size() != 1) {
      throw InputError("network CCPM: kernel_heights needs one number, or one for each layer of channels");
    }
    const Activation kind = parse_activation(s.text("activation"));
    int64_t in = 1, fields = shape.fields;
    for (size_t l = 0; l < channels.size(); ++l) {
      const int64_t height = heights.size() == 1 ? heights[0] : heights[l];
      Layer layer;
      layer.convolution = &add_child(cat("conv_layer.conv_layer.", 4 * l + 1),
                                     std::make_unique<FieldConvolution>(in, channels[l], height, height - 1, build));
      if (kind != Activation::none) {
        layer.activation =
            &add_child(cat("conv_layer.conv_layer.", 4 * l + 3), make_activation(kind, channels[l], build));
      }
      layer.kept = kept_fields(l + 1, channels.size(), shape.fields);
      fields += height - 1;
      if (fields < layer.kept) {
        throw InputError(cat("network CCPM: layer ", l + 1, " of the convolution has ", fields, " rows, of which ",
                             layer.kept, " are kept; use more columns or larger kernel_heights"));
      }
      fields = layer.kept;
      in = channels[l];
      layers_.push_back(layer);
    }
    width_ = in * fields * shape.dim;
    fc_ = &add_child("fc", std::make_unique<Linear>(width_, 1, build));
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    const Tensor& e = x.whole();
    const int64_t rows = e.shape()[0];
    Tensor image = ops::reshape(e, {rows, 1, e.shape()[1], e.shape()[2]});
    for (const Layer& layer : layers_) {
      image = ops::k_max(layer.convolution->forward(image), 2, layer.kept);
      if (!layer.activation) continue;
      image = from_channel_rows(layer.activation->forward(channel_rows(image), pass), rows, layer.kept);
    }
    return flatten(image);
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  struct Layer {
    FieldConvolution* convolution = nullptr;
    int64_t kept = 0;
    ActivationLayer* activation = nullptr;
  };
  std::vector<Layer> layers_;
  int64_t width_ = 0;
  Linear* fc_ = nullptr;
};

}  // namespace

NetworkType CCPM_network() {
  using Widths = std::vector<int64_t>;
  SettingKey heights =
      widths_setting("kernel_heights", {6, 5, 3}, "fields that a kernel reads").with_small(Widths{3, 2});
  heights.per_layer = true;
  return {
      .name = "CCPM",
      .title = "Convolutional click prediction model",
      .source = "Liu et al., CIKM 2015",
      .formula = "z = w . flatten(act(kmax(conv_L(.. act(kmax(conv_1(e))))))) + b",
      .make = make<Ccpm>,
      .keys = {widths_setting("channels", {4, 4, 2}, "channels of each convolution").with_small(Widths{2, 2}), heights,
               choice_setting("activation", "tanh", activation_names(), "the activation behind every pooling")},
      .fuxictr = true};
}

}  // namespace kdef::nn
