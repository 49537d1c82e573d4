// The network of masked blocks.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

MlpKeys mask_keys() { return {.units = "dnn_hidden_units", .activations = "dnn_hidden_activations", .batch_norm = ""}; }

/// A block: y = act(LN(W (m * h))), m = W_2 relu(W_1 x + b_1) + b_2 from the embeddings x. LN only with net_layernorm.
/// Names: mask_layer.{0,2}.*, hidden_layer.0.weight, hidden_layer.1.*.
class MaskBlock final : public Module {
 public:
  MaskBlock(int64_t x, int64_t in, int64_t out, Activation activation, double rate, const Settings& s, Builder& build) {
    const auto inner = static_cast<int64_t>(static_cast<double>(in) * s.number("reduction_ratio"));
    if (inner < 1) throw InputError(cat("network MaskNet: reduction_ratio leaves no mask of a width of ", in));
    first_ = &add_child("mask_layer.0", std::make_unique<Linear>(x, inner, build));
    second_ = &add_child("mask_layer.2", std::make_unique<Linear>(inner, in, build));
    hidden_ = &add_child("hidden_layer.0", std::make_unique<Linear>(in, out, build, false));
    const bool norm = s.flag("net_layernorm");
    if (norm) tail_.layer_norm = &add_child("hidden_layer.1", std::make_unique<LayerNorm>(out, build));
    if (activation != Activation::none) {
      tail_.activation =
          &add_child(norm ? "hidden_layer.2" : "hidden_layer.1", make_activation(activation, out, build));
    }
    if (rate > 0) tail_.dropout = &add_child("dropout", std::make_unique<Dropout>(rate, build));
  }
  Tensor forward(const Tensor& x, const Tensor& h, const Pass& pass) const {
    const Tensor mask = second_->forward(ops::relu(first_->forward(x)));
    return tail_.forward(hidden_->forward(ops::mul(mask, h)), pass);
  }

 private:
  Linear *first_ = nullptr, *second_ = nullptr, *hidden_ = nullptr;
  HiddenTail tail_;
};

/// MaskNet (Wang, She, Zhang 2021, arXiv 2102.07619): V = the embeddings, each field behind a layer norm of its own
/// (emb_layernorm). SerialMaskNet: the blocks one behind the other from V on, z = w . h + b. ParallelMaskNet: blocks on
/// V side by side, z = MLP([their results]). Names: emb_norm.F.*, mask_net.mask_blocks.K.*, mask_net.fc.0.*,
/// mask_net.dnn.mlp.*.
class MaskNet final : public Network {
 public:
  MaskNet(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    const MlpConfig dnn = mlp_config(s, mask_keys());
    serial_ = s.text("model_type") == "SerialMaskNet";
    if (dnn.hidden_units.empty() && serial_) throw InputError("network MaskNet: SerialMaskNet needs dnn_hidden_units");
    const size_t count = serial_ ? dnn.hidden_units.size() : static_cast<size_t>(s.integer("parallel_num_blocks"));
    width_ = serial_ ? shape.width : 0;
    for (size_t k = 0; k < count; ++k) {
      const int64_t in = serial_ ? width_ : shape.width;
      const int64_t out = serial_ ? dnn.hidden_units[k] : s.integer("parallel_block_dim");
      const size_t layer = serial_ ? k : 0;
      const Activation activation = dnn.activations.empty() ? Activation::relu : dnn.activations[layer];
      const double rate = dnn.dropout.empty() ? 0 : dnn.dropout[layer];
      blocks_.push_back(&add_child(cat("mask_net.mask_blocks.", k),
                                   std::make_unique<MaskBlock>(shape.width, in, out, activation, rate, s, build)));
      width_ = serial_ ? out : width_ + out;
    }
    if (serial_) {
      fc_ = &add_child("mask_net.fc.0", std::make_unique<Linear>(width_, 1, build));
    } else {
      dnn_ = &add_child("mask_net.dnn", std::make_unique<Mlp>(width_, dnn, build));
      width_ = dnn_->hidden_width();
    }
    for (int64_t f = 0; s.flag("emb_layernorm") && f < shape.fields; ++f) {
      norms_.push_back(&add_child(cat("emb_norm.", f), std::make_unique<LayerNorm>(shape.dim, build)));
    }
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    const Tensor x = fields.flat(), v = normalised(fields);
    if (serial_) {
      Tensor h = v;
      for (const MaskBlock* block : blocks_) h = block->forward(x, h, pass);
      return h;
    }
    std::vector<Tensor> all;
    for (const MaskBlock* block : blocks_) all.push_back(block->forward(x, v, pass));
    return dnn_->hidden(ops::concat(all, 1), pass);
  }
  Tensor output(const Tensor& h) const override { return serial_ ? fc_->forward(h) : dnn_->output(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  Tensor normalised(const Fields& fields) const {
    if (norms_.empty()) return fields.flat();
    std::vector<Tensor> all;
    for (size_t f = 0; f < norms_.size(); ++f) {
      all.push_back(norms_[f]->forward(flatten(ops::slice(fields.whole(), 1, static_cast<int64_t>(f), 1))));
    }
    return ops::concat(all, 1);
  }
  bool serial_ = false;
  int64_t width_ = 0;
  std::vector<MaskBlock*> blocks_;
  std::vector<LayerNorm*> norms_;
  Linear* fc_ = nullptr;
  Mlp* dnn_ = nullptr;
};

}  // namespace

NetworkType MaskNet_network() {
  return {
      .name = "MaskNet",
      .title = "Blocks whose input is masked by the embeddings",
      .source = "Wang, She, Zhang 2021, arXiv 2102.07619",
      .formula = "z = w . h_L + b, h <- act(LN(W (mask(x) * h))), h_0 = LN(e) (serial)",
      .make = make<MaskNet>,
      .keys = {choice_setting("model_type", "SerialMaskNet", {"SerialMaskNet", "ParallelMaskNet"},
                              "whether the blocks stand one behind the other or side by side"),
               integer_setting("parallel_num_blocks", 1, 1, kMaxLayers, "blocks of ParallelMaskNet"),
               integer_setting("parallel_block_dim", 64, 1, kMaxWidth, "width of each block of ParallelMaskNet")
                   .with_small(3),
               number_setting("reduction_ratio", 1, 1e-6, 1e6, "width of a mask's hidden layer per width of its input")
                   .with_small(0.5),
               flag_setting("emb_layernorm", true, "layer normalisation of the embeddings"),
               flag_setting("net_layernorm", true, "layer normalisation in every block")},
      .fuxictr = true,
      .mlps = {mask_keys()}};
}

}  // namespace kdef::nn
