// New fields made by convolutions over the fields.
#include <limits>

#include "nn/networks/convolution.h"
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

MlpKeys fgcnn_keys() {
  MlpKeys keys = dnn_keys();
  keys.batch_norm = "dnn_batch_norm";
  keys.standard_units = {4096, 2048, 1024, 512};
  return keys;
}

/// The maxima of s rows of H each, with H mod s rows of -infinity at both ends: [B, C, H, D] -> [B, C, H', D].
Tensor pooled(const Tensor& x, int64_t s) {
  const Tensor wide = padded_fields(x, x.shape()[2] % s, -std::numeric_limits<double>::infinity());
  const int64_t rows = x.shape()[0], channels = x.shape()[1], dim = x.shape()[3], kept = wide.shape()[2] / s;
  return ops::max(ops::reshape(ops::slice(wide, 2, 0, kept * s), {rows, channels, kept, s, dim}), 3);
}

/// FGCNN (Liu et al., WWW 2019, arXiv 1904.04447): by embeddings e' from tables of its own (or e, if share_embedding),
/// per layer: a convolution over the fields, batch norm per channel, the activation, max pooling over the fields; then
/// H' r new fields = tanh(W flatten + b) of the result; with E = [e ; all new fields], z = MLP([E, <E_i, E_j> for i <
/// j]). Names: fg_embedding_layer.*, fgcnn_layer.conv_layers.L.{0,1}.*, fgcnn_layer.recombine_layers.L.0.*, dnn.mlp.*.
class Fgcnn final : public Network {
 public:
  Fgcnn(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    const auto& channels = s.integers("channels");
    const auto per_layer = [&](const char* key) {
      const std::vector<int64_t>& values = s.integers(key);
      return values.size() == 1 ? std::vector<int64_t>(channels.size(), values[0]) : values;
    };
    const auto heights = per_layer("kernel_heights"), pools = per_layer("pooling_sizes"),
               recombined = per_layer("recombined_channels");
    if (heights.size() != channels.size() || pools.size() != channels.size() || recombined.size() != channels.size()) {
      throw InputError(
          "network FGCNN: channels, kernel_heights, pooling_sizes and recombined_channels need a number for each "
          "layer");
    }
    if (!s.flag("share_embedding")) {
      tables_ = &add_child("fg_embedding_layer", std::make_unique<EmbeddingTables>(shape.list, shape.dim, build));
    }
    const Activation kind = parse_activation(s.text("conv_activation"));
    int64_t in = 1, fields = shape.fields, all = shape.fields;
    for (size_t l = 0; l < channels.size(); ++l) {
      if (heights[l] % 2 == 0) throw InputError(cat("network FGCNN: kernel height ", heights[l], " must be odd"));
      const std::string name = cat("fgcnn_layer.conv_layers.", l, ".");
      Layer layer;
      layer.convolution = &add_child(
          name + "0", std::make_unique<FieldConvolution>(in, channels[l], heights[l], (heights[l] - 1) / 2, build));
      if (s.flag("conv_batch_norm")) {
        layer.norm = &add_child(name + "1", std::make_unique<BatchNorm1d>(channels[l], build));
      }
      if (kind != Activation::none)
        layer.activation = &add_child(name + "2", make_activation(kind, channels[l], build));
      layer.pool = pools[l];
      in = channels[l];
      fields = (fields + 2 * (fields % pools[l])) / pools[l];
      if (fields == 0) throw InputError("network FGCNN: pooling leaves no field");
      const int64_t width = fields * shape.dim;
      layer.recombine = &add_child(cat("fgcnn_layer.recombine_layers.", l, ".0"),
                                   std::make_unique<Linear>(width * in, width * recombined[l], build));
      all += fields * recombined[l];
      layers_.push_back(layer);
    }
    dnn_ = &add_child("dnn",
                      std::make_unique<Mlp>(all * shape.dim + all * (all - 1) / 2, mlp_config(s, fgcnn_keys()), build));
  }
  Tensor hidden(const Fields& x, const Pass& pass) const override {
    const Tensor& e = x.whole();
    const Tensor own = tables_ ? x.through(*tables_).whole() : e;
    const int64_t rows = e.shape()[0], dim = e.shape()[2];
    Tensor image = ops::reshape(own, {rows, 1, own.shape()[1], dim});
    std::vector<Tensor> fields = {e};
    for (const Layer& layer : layers_) {
      image = pooled(by_channel(layer, layer.convolution->forward(image), pass), layer.pool);
      const Tensor made = ops::tanh(layer.recombine->forward(flatten(image)));
      fields.push_back(ops::reshape(made, {rows, made.shape()[1] / dim, dim}));
    }
    const Tensor all = ops::concat(fields, 1);
    return dnn_->hidden(ops::concat({flatten(all), inner_products(all)}, 1), pass);
  }
  Tensor output(const Tensor& h) const override { return dnn_->output(h); }
  int64_t hidden_width() const override { return dnn_->hidden_width(); }

 private:
  struct Layer {
    FieldConvolution* convolution = nullptr;
    BatchNorm1d* norm = nullptr;
    ActivationLayer* activation = nullptr;
    int64_t pool = 1;
    Linear* recombine = nullptr;
  };
  // Batch norm and activation of x [B, C, H, D], whose columns are the channels.
  static Tensor by_channel(const Layer& layer, const Tensor& x, const Pass& pass) {
    Tensor y = channel_rows(x);
    if (layer.norm) y = layer.norm->forward(y, pass);
    if (layer.activation) y = layer.activation->forward(y, pass);
    return from_channel_rows(y, x.shape()[0], x.shape()[2]);
  }
  EmbeddingTables* tables_ = nullptr;
  std::vector<Layer> layers_;
  Mlp* dnn_ = nullptr;
};

}  // namespace

NetworkType FGCNN_network() {
  using Widths = std::vector<int64_t>;
  return {
      .name = "FGCNN",
      .title = "Feature generation by convolutional neural network",
      .source = "Liu et al., WWW 2019, arXiv 1904.04447",
      .formula = "z = MLP([E, <E_i, E_j> for i < j]), E = [e ; tanh(W_l pool(act(BN(conv_l)))) of each layer]",
      .make = make<Fgcnn>,
      .keys =
          {flag_setting("share_embedding", false, "the convolutions read e; false: tables of their own"),
           widths_setting("channels", {14, 16, 18, 20}, "channels of each convolution").with_small(Widths{2, 2}),
           width_setting("kernel_heights", {7, 7, 7, 7}, "fields that a kernel reads; odd").with_small(Widths{3, 3}),
           width_setting("pooling_sizes", {2, 2, 2, 2}, "fields of which the largest is kept").with_small(Widths{2, 2}),
           width_setting("recombined_channels", {2, 2, 2, 2}, "new fields per field that pooling leaves")
               .with_small(Widths{2, 1}),
           choice_setting("conv_activation", "tanh", activation_names(), "the activation of every convolution"),
           flag_setting("conv_batch_norm", true, "batch normalisation of every convolution, by channels")},
      .fuxictr = true,
      .mlps = {fgcnn_keys()}};
}

}  // namespace kdef::nn
