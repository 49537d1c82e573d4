// Exponential and linear cross networks with heads (FCN).
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

/// Cross layers of x [B, H, n], H heads, with u = BN(W_l x) (n/2 wide, one channel per head) and m = relu(LN(u)):
///   x_{l+1} = a * ([u, u * m] + b_l) + x_l, a = x_l (exponential, ECN) or x_0 (linear, LCN), then dropout.
/// The logit is the mean over the heads of w . x_L + b. Without layer_norm m = relu(u). b_l starts uniform in [0, 1).
/// Names: w.L.weight, b.L, batch_norm.L.*, layer_norm.L.*, and those of the output.
class HeadedCross final : public Module {
 public:
  struct Shape {
    int64_t width, heads, layers;
    bool exponential;
    double rate;
    const char* output;
  };
  HeadedCross(const Shape& shape, const Settings& s, Builder& build) : shape_(shape) {
    const int64_t half = shape.width / 2;
    for (int64_t l = 0; l < shape.layers; ++l) {
      Layer layer;
      layer.w = &add_child(cat("w.", l), std::make_unique<Linear>(shape.width, half, build, false));
      layer.b = add_parameter(cat("b.", l), build.uniform({shape.width}, 0, 1));
      if (s.flag("batch_norm")) {
        layer.batch = &add_child(cat("batch_norm.", l), std::make_unique<BatchNorm1d>(shape.heads, build));
      }
      if (s.flag("layer_norm"))
        layer.norm = &add_child(cat("layer_norm.", l), std::make_unique<LayerNorm>(half, build));
      if (shape.rate > 0) layer.dropout = &add_child(cat("dropout.", l), std::make_unique<Dropout>(shape.rate, build));
      layers_.push_back(layer);
    }
    fc_ = &add_child(shape.output, std::make_unique<Linear>(shape.width, 1, build));
  }
  /// x [B, H, n] -> [B, H n].
  Tensor hidden(const Tensor& x0, const Pass& pass) const {
    const int64_t rows = x0.shape()[0], heads = shape_.heads, n = shape_.width, half = n / 2;
    Tensor x = x0;
    for (const Layer& layer : layers_) {
      Tensor u = ops::reshape(layer.w->forward(ops::reshape(x, {rows * heads, n})), {rows, heads, half});
      if (layer.batch) {
        const Tensor by_value = ops::reshape(ops::transpose(u, 1, 2), {rows * half, heads});
        u = ops::transpose(ops::reshape(layer.batch->forward(by_value, pass), {rows, half, heads}), 1, 2);
      }
      const Tensor mask = ops::relu(layer.norm ? layer.norm->forward(u) : u);
      const Tensor gate = ops::add(ops::concat({u, ops::mul(u, mask)}, 2), layer.b);
      x = ops::add(ops::mul(shape_.exponential ? x : x0, gate), x);
      if (layer.dropout) x = layer.dropout->forward(x, pass);
    }
    return flatten(x);
  }
  /// The logit [B, 1] of the result of hidden().
  Tensor output(const Tensor& h) const {
    const int64_t rows = h.shape()[0], heads = shape_.heads;
    const Tensor z = fc_->forward(ops::reshape(h, {rows * heads, shape_.width}));
    return ops::mean(ops::reshape(z, {rows, heads}), 1, true);
  }
  int64_t hidden_width() const { return shape_.heads * shape_.width; }

 private:
  struct Layer {
    Linear* w = nullptr;
    Tensor b;
    BatchNorm1d* batch = nullptr;
    LayerNorm* norm = nullptr;
    Dropout* dropout = nullptr;
  };
  Shape shape_;
  std::vector<Layer> layers_;
  Linear* fc_ = nullptr;
};

/// Tables of H D columns of the network's own. A head has D columns of each field: all fields' first halves, then all
/// second halves. Names: embedding_layer.embedding_layer.embedding_layer.embedding_layers.FIELD.weight.
class HeadedTables final : public Module {
 public:
  HeadedTables(const std::string& network, int64_t heads, const EmbeddingShape& shape, Builder& build)
      : heads_(heads), half_(shape.dim / 2) {
    require_uniform(network, shape);
    if (shape.dim % 2 != 0) {
      throw InputError(cat("network ", network, ": embedding_dim ", shape.dim, " must be even: it is halved"));
    }
    std::vector<EmbeddingField> fields = shape.list;
    for (EmbeddingField& field : fields) field.dim = 0;
    tables_ = &add_child("embedding_layer", std::make_unique<EmbeddingTables>(fields, heads * shape.dim, build));
  }
  /// [B, H, F D].
  Tensor read(const Fields& x) const {
    const Tensor e = x.through(*tables_).whole();
    const int64_t rows = e.shape()[0], fields = e.shape()[1];
    // [B, F, H, 2, D / 2] -> [B, H, 2, F, D / 2]
    const Tensor by_half = ops::transpose(ops::reshape(e, {rows, fields, 2 * heads_, half_}), 1, 2);
    return ops::reshape(by_half, {rows, heads_, 2 * fields * half_});
  }

 private:
  int64_t heads_, half_;
  EmbeddingTables* tables_ = nullptr;
};

/// DCNv3 (Fusing Cross Network; Li et al., arXiv 2407.13349): z = (z_d + z_s) / 2 of an exponential (ECN) and a linear
/// (LCN) cross network. With L, L_d, L_s the label losses of z, z_d, z_s, the loss gains
///   max(L_d - L, 0) L_d + max(L_s - L, 0) L_s, whose weights carry gradient.
/// Names: embedding_layer.*, ECN.*, LCN.*.
class DcnV3 final : public Network {
 public:
  DcnV3(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    const Settings& s = config.settings;
    const int64_t heads = s.integer("num_heads");
    tables_ = &add_child("embedding_layer", std::make_unique<HeadedTables>(config.network, heads, shape, build));
    deep_ = &add_child(
        "ECN", std::make_unique<HeadedCross>(HeadedCross::Shape{shape.width, heads, s.integer("num_deep_cross_layers"),
                                                                true, s.number("deep_net_dropout"), "dfc"},
                                             s, build));
    shallow_ = &add_child("LCN", std::make_unique<HeadedCross>(
                                     HeadedCross::Shape{shape.width, heads, s.integer("num_shallow_cross_layers"),
                                                        false, s.number("shallow_net_dropout"), "sfc"},
                                     s, build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    const Tensor x = tables_->read(fields);
    return ops::concat({deep_->hidden(x, pass), shallow_->hidden(x, pass)}, 1);
  }
  Tensor output(const Tensor& h) const override { return ops::mean(logits(h), 1, true); }
  int64_t hidden_width() const override { return deep_->hidden_width() + shallow_->hidden_width(); }
  NetworkOutput forward_branches(const Fields& fields, const Pass& pass) const override {
    const Tensor z = logits(hidden(fields, pass));
    return {ops::mean(z, 1, true), z};
  }
  Tensor branch_loss(const NetworkOutput& z, const Tensor& labels, const TaskFunctions& task) const override {
    return loss_of_worse(z.branches, task.loss(z.logit, labels), labels, task);
  }

 private:
  Tensor logits(const Tensor& h) const {
    return ops::concat({deep_->output(ops::slice(h, 1, 0, deep_->hidden_width())),
                        shallow_->output(ops::slice(h, 1, deep_->hidden_width(), shallow_->hidden_width()))},
                       1);
  }
  HeadedTables* tables_ = nullptr;
  HeadedCross *deep_ = nullptr, *shallow_ = nullptr;
};

/// ECN (Li et al., arXiv 2407.13349): the exponential cross network alone. Names: embedding_layer.*, ECN.*.
class Ecn final : public Network {
 public:
  Ecn(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    const Settings& s = config.settings;
    const int64_t heads = s.integer("num_heads");
    tables_ = &add_child("embedding_layer", std::make_unique<HeadedTables>(config.network, heads, shape, build));
    cross_ = &add_child(
        "ECN", std::make_unique<HeadedCross>(HeadedCross::Shape{shape.width, heads, s.integer("num_cross_layers"), true,
                                                                s.numbers("net_dropout").at(0), "fc"},
                                             s, build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    return cross_->hidden(tables_->read(fields), pass);
  }
  Tensor output(const Tensor& h) const override { return cross_->output(h); }
  int64_t hidden_width() const override { return cross_->hidden_width(); }

 private:
  HeadedTables* tables_ = nullptr;
  HeadedCross* cross_ = nullptr;
};

std::vector<SettingKey> common_keys() {
  return {
      integer_setting("num_heads", 1, 1, kMaxWidth, "heads; a table has embedding_dim columns for each").with_small(2),
      flag_setting("layer_norm", true, "layer normalisation in the masks"),
      flag_setting("batch_norm", false, "batch normalisation in every layer, by heads").with_small(true)};
}

}  // namespace

NetworkType DCNv3_network() {
  std::vector<SettingKey> keys = common_keys();
  keys.push_back(
      integer_setting("num_deep_cross_layers", 4, 1, kMaxLayers, "number of exponential layers").with_small(2));
  keys.push_back(
      integer_setting("num_shallow_cross_layers", 4, 1, kMaxLayers, "number of linear layers").with_small(2));
  keys.push_back(number_setting("deep_net_dropout", 0.1, 0, 0.999999, "dropout rate of every exponential layer"));
  keys.push_back(number_setting("shallow_net_dropout", 0.3, 0, 0.999999, "dropout rate of every linear layer"));
  return {
      .name = "DCNv3",
      .title = "Fusing cross network (FCN): an exponential and a linear one, by tables of its own",
      .source = "Li et al., arXiv 2407.13349",
      .formula = "z = mean of w . x_L + b of both, x <- a * ([u, u * relu(LN(u))] + b) + x, u = BN(W x), a = x or x_0",
      .make = make<DcnV3>,
      .keys = keys,
      .fuxictr = true,
      .own_tables = always};
}

NetworkType ECN_network() {
  std::vector<SettingKey> keys = common_keys();
  keys.push_back(integer_setting("num_cross_layers", 3, 1, kMaxLayers, "number of cross layers").with_small(2));
  keys.push_back(rate_setting("net_dropout", 0, "dropout rate of every layer"));
  return {.name = "ECN",
          .title = "Exponential cross network with heads, by tables of its own",
          .source = "Li et al., arXiv 2407.13349",
          .formula = "z = w . x_L + b, x <- x * ([u, u * relu(LN(u))] + b) + x, u = BN(W x)",
          .make = make<Ecn>,
          .keys = keys,
          .fuxictr = true,
          .embedding_dim = 16,
          .own_tables = always};
}

}  // namespace kdef::nn
