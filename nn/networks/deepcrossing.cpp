// Residual layers over the embeddings.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"

namespace kdef::nn {
namespace {

/// DeepCrossing (Shan et al., KDD 2016): blocks x <- act(BN(W_2 act(W_1 x + b_1) + b_2 + x)) over x = flatten(e), which
/// keep its width; z = w . x + b. Without use_residual nothing is added.
/// Names: crossing_layer.K.layer.{0,2}.*, crossing_layer.K.batch_norm.*, and of the output the next crossing_layer.K.
class DeepCrossing final : public Network {
 public:
  DeepCrossing(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : width_(shape.width), residual_(config.settings.flag("use_residual")) {
    const MlpConfig blocks = mlp_config(config.settings, block_keys());
    size_t number = 0;
    for (; number < blocks.hidden_units.size(); ++number) {
      const std::string name = cat("crossing_layer.", number);
      const int64_t units = blocks.hidden_units[number];
      const Activation kind = blocks.activations[number];
      Block block;
      block.first = &add_child(name + ".layer.0", std::make_unique<Linear>(width_, units, build));
      if (kind != Activation::none) {
        block.inner = &add_child(name + ".layer.1", make_activation(kind, units, build));
        block.tail.activation = &add_child(name + ".activation", make_activation(kind, width_, build));
      }
      block.second = &add_child(name + ".layer.2", std::make_unique<Linear>(units, width_, build));
      if (blocks.batch_norm) {
        block.tail.batch_norm = &add_child(name + ".batch_norm", std::make_unique<BatchNorm1d>(width_, build));
      }
      if (blocks.dropout[number] > 0) {
        block.tail.dropout = &add_child(name + ".dropout", std::make_unique<Dropout>(blocks.dropout[number], build));
      }
      blocks_.push_back(block);
    }
    fc_ = &add_child(cat("crossing_layer.", number), std::make_unique<Linear>(width_, 1, build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    Tensor x = fields.flat();
    for (const Block& block : blocks_) {
      const Tensor h = block.first->forward(x);
      const Tensor y = block.second->forward(block.inner ? block.inner->forward(h, pass) : h);
      x = block.tail.forward(residual_ ? ops::add(y, x) : y, pass);
    }
    return x;
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return width_; }

  static MlpKeys block_keys() {
    return {.units = "residual_blocks", .activations = "hidden_activations", .of = "inside a residual block"};
  }

 private:
  struct Block {
    Linear *first = nullptr, *second = nullptr;
    ActivationLayer* inner = nullptr;
    HiddenTail tail;
  };
  int64_t width_;
  bool residual_;
  std::vector<Block> blocks_;
  Linear* fc_ = nullptr;
};

}  // namespace

NetworkType DeepCrossing_network() {
  return {.name = "DeepCrossing",
          .title = "Residual blocks over the embeddings",
          .source = "Shan et al., KDD 2016",
          .formula = "z = w . x_L + b, x_{l+1} = act(BN(W' act(W x_l + b) + b' + x_l))",
          .make = make<DeepCrossing>,
          .keys = {flag_setting("use_residual", true, "a block's input is added to its result")},
          .fuxictr = true,
          .mlps = {DeepCrossing::block_keys()}};
}

}  // namespace kdef::nn
