// Networks of stacked attentive interactions.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

/// One layer, of e [B, F, D] with S = e (K e)^T, by interaction_type (SAM2*: K = 1):
///   SAM2A: S_nm W_nm [B, F, F, D]; SAM2E: S_nm e_n * e_m;
///   SAM3A: sum over m of S_nm W_nm [B, F, D]; SAM3E: sum over m of S_nm e_n * e_m; both + Q e_n with use_residual.
/// Names: W [F, F, D] from 1, K.weight, Q.weight.
class SamLayer final : public Module {
 public:
  SamLayer(const std::string& type, bool residual, double rate, const EmbeddingShape& shape, Builder& build)
      : type_(type), dropout_(rate > 0 ? &add_child("dropout", std::make_unique<Dropout>(rate, build)) : nullptr) {
    if (type.ends_with("A")) w_ = add_parameter("W", build.constant({shape.fields, shape.fields, shape.dim}, 1));
    if (type.starts_with("SAM2")) return;
    k_ = &add_child("K", std::make_unique<Linear>(shape.dim, shape.dim, build, false));
    if (residual) q_ = &add_child("Q", std::make_unique<Linear>(shape.dim, shape.dim, build, false));
  }
  Tensor forward(const Tensor& e, const Pass& pass) const {
    const int64_t rows = e.shape()[0], fields = e.shape()[1], dim = e.shape()[2];
    const auto of_field = [&](const Linear& linear) {
      return ops::reshape(linear.forward(ops::reshape(e, {rows * fields, dim})), {rows, fields, dim});
    };
    const Tensor s = ops::matmul(e, k_ ? of_field(*k_) : e, false, true);
    Tensor out;
    if (type_ == "SAM2A") out = ops::mul(ops::reshape(s, {rows, fields, fields, 1}), w_);
    if (type_ == "SAM2E") {
      const Tensor u = ops::mul(ops::reshape(e, {rows, fields, 1, dim}), ops::reshape(e, {rows, 1, fields, dim}));
      out = ops::mul(ops::reshape(s, {rows, fields, fields, 1}), u);
    }
    if (type_ == "SAM3A") out = ops::transpose(ops::matmul(ops::transpose(s, 0, 1), w_), 0, 1);
    if (type_ == "SAM3E") out = ops::mul(e, ops::matmul(s, e));
    if (q_) out = ops::add(out, of_field(*q_));
    return dropout_ ? dropout_->forward(out, pass) : out;
  }

 private:
  std::string type_;
  Dropout* dropout_;
  Tensor w_;
  Linear *k_ = nullptr, *q_ = nullptr;
};

/// SAM (Cheng, Xue, WWW 2021, arXiv 2105.05563): z = fc(a(layers(e))), a by aggregation: concat, or the
/// weighted_pooling, mean_pooling or sum_pooling over the fields. SAM2A and SAM2E have one layer and concat. Names:
/// block.layers.L.*, block.weight [F, 1] from 1, fc.*.
class Sam final : public Network {
 public:
  Sam(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    const std::string& type = s.text("interaction_type");
    const bool single = type.starts_with("SAM2");
    aggregation_ = s.text("aggregation");
    if (single && aggregation_ != "concat") {
      throw InputError(cat("network SAM: interaction_type ", type, " needs aggregation: concat"));
    }
    if (aggregation_ == "weighted_pooling")
      weights_ = add_parameter("block.weight", build.constant({shape.fields, 1}, 1));
    for (int64_t l = 0; l < (single ? 1 : s.integer("num_interaction_layers")); ++l) {
      layers_.push_back(&add_child(
          cat("block.layers.", l),
          std::make_unique<SamLayer>(type, s.flag("use_residual"), s.numbers("net_dropout").at(0), shape, build)));
    }
    width_ = single ? shape.fields * shape.width : aggregation_ == "concat" ? shape.width : shape.dim;
    fc_ = &add_child("fc", std::make_unique<Linear>(width_, 1, build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    Tensor x = fields.whole();
    for (const SamLayer* layer : layers_) x = layer->forward(x, pass);
    if (aggregation_ == "concat") return flatten(x);
    if (aggregation_ == "mean_pooling") return ops::mean(x, 1);
    return ops::sum(weights_.defined() ? ops::mul(x, weights_) : x, 1);
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  int64_t width_ = 0;
  std::string aggregation_;
  Tensor weights_;
  std::vector<SamLayer*> layers_;
  Linear* fc_ = nullptr;
};

}  // namespace

NetworkType SAM_network() {
  return {
      .name = "SAM",
      .title = "Stacked attentive interactions",
      .source = "Cheng, Xue, WWW 2021, arXiv 2105.05563",
      .formula = "z = fc(aggregation(x)), x_n <- sum over m of <x_n, K x_m> x_n * x_m (SAM3E)",
      .make = make<Sam>,
      .keys =
          {choice_setting("interaction_type", "SAM2E", {"SAM2A", "SAM2E", "SAM3A", "SAM3E"}, "the kind of layer")
               .with_small("SAM3A"),
           choice_setting("aggregation", "concat", {"concat", "weighted_pooling", "mean_pooling", "sum_pooling"},
                          "what the output layer reads of the fields")
               .with_small("weighted_pooling"),
           integer_setting("num_interaction_layers", 3, 1, kMaxLayers, "number of SAM3A or SAM3E layers").with_small(2),
           flag_setting("use_residual", false, "Q e is added to the result of a SAM3A or SAM3E layer").with_small(true),
           rate_setting("net_dropout", 0, "dropout rate of every layer")},
      .fuxictr = true};
}

}  // namespace kdef::nn
