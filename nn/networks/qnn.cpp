// Quadratic networks.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

/// The quadratic map of a layer, of x [B, n], by neuron_type; h_1, h_2, .. are equal parts of one Linear of x:
///   T3: L(x^2); T4: h^2; T7: h_1 h_2 + L_2(x^2); T8: h_1 h_2 + h_3; T10: x h_1 + h_2; T14: [h_1 h_2, h_2];
///   T23: h_1 h_2 + x; T26: (relu(h_1) x + relu(h_2) x) / 2 + x.
/// Names: linear.*; of T7 linear1.*, linear2.*.
class Quadratic final : public Module {
 public:
  Quadratic(const std::string& type, int64_t n, Builder& build) : type_(type) {
    const bool narrow = type == "T3" || type == "T4" || type == "T14";
    if (type == "T14" && n % 2 != 0)
      throw InputError("network QNN: neuron_type T14 needs an even width of all embeddings");
    const int64_t out = narrow ? n : type == "T8" ? 3 * n : 2 * n;
    first_ = &add_child(type == "T7" ? "linear1" : "linear", std::make_unique<Linear>(n, out, build));
    if (type == "T7") second_ = &add_child("linear2", std::make_unique<Linear>(n, n, build));
  }
  Tensor forward(const Tensor& x) const {
    if (type_ == "T3") return first_->forward(ops::square(x));
    const Tensor h = first_->forward(x);
    if (type_ == "T4") return ops::square(h);
    const int64_t part = type_ == "T14" ? x.shape()[1] / 2 : x.shape()[1];
    const Tensor h1 = ops::slice(h, 1, 0, part), h2 = ops::slice(h, 1, part, part);
    if (type_ == "T10") return ops::add(ops::mul(x, h1), h2);
    if (type_ == "T26") return ops::add(ops::scale(ops::mul(ops::add(ops::relu(h1), ops::relu(h2)), x), 0.5), x);
    const Tensor product = ops::mul(h1, h2);
    if (type_ == "T7") return ops::add(product, second_->forward(ops::square(x)));
    if (type_ == "T8") return ops::add(product, ops::slice(h, 1, 2 * part, part));
    if (type_ == "T14") return ops::concat({product, h2}, 1);
    return ops::add(product, x);
  }

 private:
  std::string type_;
  Linear *first_ = nullptr, *second_ = nullptr;
};

/// QNN (Li et al., KDD 2025, arXiv 2505.17999): x <- dropout(act(BN(quadratic map of x))), x_0 = flatten(e); z = w . x
/// + b. Names: qnn.layer.L.*, qnn.norm.L.*, qnn.activation.L.*, qnn.fc.*.
class Qnn final : public Network {
 public:
  Qnn(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) : width_(shape.width) {
    const Settings& s = config.settings;
    const std::string& type = s.text("neuron_type");
    if (type == "T1") {
      throw InputError(
          "network QNN: neuron_type T1, FuxiCTR's default, has a fixed width there and is not supported; name "
          "another one");
    }
    const Activation kind = parse_activation(s.texts("hidden_activations").at(0));
    const double rate = s.numbers("net_dropout").at(0);
    for (int64_t l = 0; l < s.integer("num_cross_layers"); ++l) {
      Layer layer;
      layer.map = &add_child(cat("qnn.layer.", l), std::make_unique<Quadratic>(type, width_, build));
      if (s.flag("batch_norm")) {
        layer.tail.batch_norm = &add_child(cat("qnn.norm.", l), std::make_unique<BatchNorm1d>(width_, build));
      }
      if (kind != Activation::none) {
        layer.tail.activation = &add_child(cat("qnn.activation.", l), make_activation(kind, width_, build));
      }
      if (rate > 0) layer.tail.dropout = &add_child(cat("qnn.dropout.", l), std::make_unique<Dropout>(rate, build));
      layers_.push_back(layer);
    }
    fc_ = &add_child("qnn.fc", std::make_unique<Linear>(width_, 1, build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    Tensor x = fields.flat();
    for (const Layer& layer : layers_) x = layer.tail.forward(layer.map->forward(x), pass);
    return x;
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  struct Layer {
    Quadratic* map = nullptr;
    HiddenTail tail;
  };
  int64_t width_;
  std::vector<Layer> layers_;
  Linear* fc_ = nullptr;
};

/// QNN_alpha (Li et al., KDD 2025, arXiv 2505.17999), R rows and H heads: h = relu(BN(W x + b)) [H, R, n / H],
///   x <- x + sum over r of x~ * h_r,
/// x~ is x with the h-th slices of all fields side by side, head by head. z = w . x + b.
/// In training the batch passes twice, with two dropout masks: z is the logit of the mean of both predictions p_1, p_2,
/// which learn from it: the loss gains BCE(p_1, sg p) + BCE(p_2, sg p).
/// Names: qnn.layer.L.linear.{0,1}.*, qnn.fc.*.
class QnnAlpha final : public Network {
 public:
  QnnAlpha(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : width_(shape.width), fields_(shape.fields) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    heads_ = s.integer("num_heads");
    rows_ = s.integer("num_row");
    if (shape.dim % heads_ != 0) {
      throw InputError(cat("network QNN_alpha: embedding_dim ", shape.dim, " is not divisible by num_heads ", heads_));
    }
    const double rate = s.numbers("net_dropout").at(0);
    for (int64_t l = 0; l < s.integer("num_layers"); ++l) {
      const std::string name = cat("qnn.layer.", l, ".linear.");
      Layer layer;
      layer.linear = &add_child(name + "0", std::make_unique<Linear>(width_, rows_ * width_, build));
      if (s.flag("batch_norm")) {
        layer.tail.batch_norm = &add_child(name + "1", std::make_unique<BatchNorm1d>(rows_ * width_, build));
      }
      layer.tail.activation = &add_child(name + "2", make_activation(Activation::relu, rows_ * width_, build));
      if (rate > 0) {
        layer.tail.dropout = &add_child(name + "3", std::make_unique<Dropout>(rate, build));
        layer.dropout = &add_child(cat("qnn.dropout.", l), std::make_unique<Dropout>(rate, build));
      }
      layers_.push_back(layer);
    }
    fc_ = &add_child("qnn.fc", std::make_unique<Linear>(width_, 1, build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    Tensor x = fields.flat();
    const int64_t rows = x.shape()[0], dim = width_ / fields_, size = dim / heads_;
    for (const Layer& layer : layers_) {
      const Tensor h = layer.tail.forward(layer.linear->forward(x), pass);
      const Tensor by_head = ops::transpose(ops::reshape(x, {rows, fields_, heads_, size}), 1, 2);
      const Tensor summed = ops::sum(ops::reshape(h, {rows * heads_, rows_, fields_ * size}), 1);
      x = ops::add(x, ops::mul(ops::reshape(by_head, {rows, width_}), ops::reshape(summed, {rows, width_})));
      if (layer.dropout) x = layer.dropout->forward(x, pass);
    }
    return x;
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return width_; }

  NetworkOutput forward_branches(const Fields& fields, const Pass& pass) const override {
    const Tensor first = forward(fields, pass);
    if (!pass.training) return {first, {}};
    Pass again = pass;
    again.seed = ~pass.seed;  // other dropout masks
    const Tensor both = ops::concat({first, forward(fields, again)}, 1);
    return {logit_of_mean_probability(both), both};
  }
  Tensor branch_loss(const NetworkOutput& z, const Tensor&, const TaskFunctions& task) const override {
    return loss_of_taught(z.branches, task.predict(z.logit), task);
  }

 private:
  struct Layer {
    Linear* linear = nullptr;
    HiddenTail tail;
    Dropout* dropout = nullptr;
  };
  int64_t width_, fields_, heads_ = 1, rows_ = 1;
  std::vector<Layer> layers_;
  Linear* fc_ = nullptr;
};

}  // namespace

NetworkType QNN_network() {
  return {.name = "QNN",
          .title = "Quadratic network, by its kind of neuron",
          .source = "Li et al., KDD 2025, arXiv 2505.17999",
          .formula = "z = w . x_L + b, x <- act(BN(q(x))), q quadratic in x",
          .make = make<Qnn>,
          .keys = {choice_setting("neuron_type", "T1", {"T1", "T3", "T4", "T7", "T8", "T10", "T14", "T23", "T26"},
                                  "the quadratic map of a layer (the names are FuxiCTR's); T1 is not supported")
                       .with_small("T7"),
                   integer_setting("num_cross_layers", 3, 1, kMaxLayers, "number of cross layers").with_small(2),
                   activation_setting("hidden_activations", "relu", "the activation of every layer"),
                   rate_setting("net_dropout", 0, "dropout rate of every layer"),
                   flag_setting("batch_norm", false, "batch normalisation in every layer").with_small(true)},
          .fuxictr = true,
          .embedding_dim = 16};
}

NetworkType QNN_alpha_network() {
  return {.name = "QNN_alpha",
          .title = "Quadratic network of Khatri-Rao products, trained by two passes that learn from their mean",
          .source = "Li et al., KDD 2025, arXiv 2505.17999",
          .formula = "z = w . x_L + b, x <- x + sum over rows r of x * relu(BN(W_r x + b_r))",
          .make = make<QnnAlpha>,
          .keys = {integer_setting("num_layers", 3, 1, kMaxLayers, "number of layers").with_small(2),
                   integer_setting("num_heads", 1, 1, kMaxWidth, "heads of each layer").with_small(2),
                   integer_setting("num_row", 2, 1, kMaxWidth, "rows of each layer").with_small(2),
                   rate_setting("net_dropout", 0, "dropout rate inside and behind every layer"),
                   flag_setting("batch_norm", false, "batch normalisation in every layer").with_small(true)},
          .fuxictr = true,
          .embedding_dim = 16};
}

}  // namespace kdef::nn
