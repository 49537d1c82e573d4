// Bilinear pairs of embeddings, weighed and not.
#include <algorithm>

#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

/// The products (e_i W) * e_j for i < j, e_i a row: [B, F (F-1) / 2, D]. W is one matrix (field_all), of field i
/// (field_each), or of the pair (field_interaction). Names: bilinear_W [D, D], [F, D, D] or [P, D, D].
class Bilinear final : public Module {
 public:
  Bilinear(const std::string& type, const EmbeddingShape& shape, Builder& build) : type_(type) {
    const int64_t f = shape.fields, d = shape.dim;
    w_ = add_parameter("bilinear_W", type == "field_all"    ? build.xavier_normal(d, d)
                                     : type == "field_each" ? build.xavier_normal({f, d, d})
                                                            : build.xavier_normal({f * (f - 1) / 2, d, d}));
  }
  Tensor forward(const Tensor& e) const {
    if (type_ == "field_interaction") return bilinear_products(e, w_);
    const int64_t rows = e.shape()[0], dim = e.shape()[2];
    return pair_products(e, [&](int64_t i) {
      const Tensor field = ops::reshape(ops::slice(e, 1, i, 1), {rows, dim});
      const Tensor w = type_ == "field_all" ? w_ : ops::reshape(ops::slice(w_, 0, i, 1), {dim, dim});
      return ops::reshape(ops::matmul(field, w), {rows, 1, dim});
    });
  }

 private:
  std::string type_;
  Tensor w_;
};

/// FiBiNET (Huang, Zhang, Zhang, RecSys 2019, arXiv 1905.09433): a = act(W_2 relu(W_1 [mean over d of e])), one number
/// per field; z = first order without bias + MLP([bilinear pairs of e, bilinear pairs of a * e]).
/// Names: senet_layer.excitation.{0,2}.weight, bilinear_interaction{1,2}.bilinear_W, lr_layer.*, dnn.mlp.*.
class FiBiNet final : public SumNetwork {
 public:
  FiBiNet(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    const auto reduced = static_cast<int64_t>(static_cast<double>(shape.fields) / s.number("reduction_ratio"));
    const int64_t inner = std::max<int64_t>(1, reduced);
    squeeze_ = &add_child("senet_layer.excitation.0", std::make_unique<Linear>(shape.fields, inner, build, false));
    excite_ = &add_child("senet_layer.excitation.2", std::make_unique<Linear>(inner, shape.fields, build, false));
    relu_ = s.text("excitation_activation") == "ReLU";
    for (int k = 1; k <= 2; ++k) {
      bilinear_.push_back(&add_child(cat("bilinear_interaction", k),
                                     std::make_unique<Bilinear>(s.text("bilinear_type"), shape, build)));
    }
    add_first_order("lr_layer", false, shape, build);
    const int64_t width = shape.fields * (shape.fields - 1) * shape.dim;
    Mlp& dnn = add_child("dnn", std::make_unique<Mlp>(width, mlp_config(s, keys()), build));
    add_part({dnn.hidden_width(),
              [this, &dnn](const Fields& x, const Pass& pass) { return dnn.hidden(pairs(x.whole()), pass); },
              [&dnn](const Tensor& h) { return dnn.output(h); }});
  }
  static MlpKeys keys() {
    MlpKeys keys = hidden_keys();
    keys.standard_units = {};
    return keys;
  }

 private:
  Tensor pairs(const Tensor& e) const {
    const Tensor scores = excite_->forward(ops::relu(squeeze_->forward(ops::mean(e, 2))));
    const Tensor a = relu_ ? ops::relu(scores) : ops::sigmoid(scores);
    const Tensor weighed = ops::mul(e, ops::reshape(a, {a.shape()[0], a.shape()[1], 1}));
    return ops::concat({flatten(bilinear_[0]->forward(e)), flatten(bilinear_[1]->forward(weighed))}, 1);
  }
  Linear *squeeze_ = nullptr, *excite_ = nullptr;
  bool relu_ = true;
  std::vector<Bilinear*> bilinear_;
};

}  // namespace

NetworkType FiBiNET_network() {
  return {
      .name = "FiBiNET",
      .title = "Bilinear pairs of embeddings that are weighed by their importance",
      .source = "Huang, Zhang, Zhang, RecSys 2019, arXiv 1905.09433",
      .formula =
          "z = LR without b + MLP([(e_i W) * e_j, (a_i e_i W') * a_j e_j for i < j]), a = act(W_2 relu(W_1 mean(e)))",
      .make = make<FiBiNet>,
      .keys = {choice_setting("excitation_activation", "ReLU", {"ReLU", "Sigmoid"}, "the activation of the weights a"),
               number_setting("reduction_ratio", 3, 1e-6, 1e6, "fields per unit of the hidden layer behind a"),
               choice_setting("bilinear_type", "field_interaction", {"field_all", "field_each", "field_interaction"},
                              "whether W is one matrix, of field i, or of the pair")},
      .fuxictr = true,
      .mlps = {FiBiNet::keys()}};
}

}  // namespace kdef::nn
