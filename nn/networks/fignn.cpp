// A graph of fields.
#include <cmath>

#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/reduce.h"
#include "ops/softmax.h"

namespace kdef::nn {
namespace {

/// A matrix per field: y_f = W_f h_f of h [B, F, D], W [F, D, D].
Tensor per_field(const Tensor& w, const Tensor& h) {
  return ops::transpose(ops::matmul(ops::transpose(h, 0, 1), w, false, true), 0, 1);
}

/// The gated recurrent unit (Cho et al. 2014, arXiv 1406.1078) of PyTorch: with r, u, c the three parts of W a + b and
/// of W' h + b', h' = (1 - s) tanh(c_a + sigmoid(r_a + r_h) c_h) + s h, s = sigmoid(u_a + u_h). Values start uniform in
/// [-1/sqrt(D), 1/sqrt(D)]. Names: weight_ih, weight_hh [3 D, D], bias_ih, bias_hh [3 D].
class GruCell final : public Module {
 public:
  GruCell(int64_t dim, Builder& build) : dim_(dim) {
    const double bound = 1 / std::sqrt(static_cast<double>(dim));
    w_ = add_parameter("weight_ih", build.uniform({3 * dim, dim}, -bound, bound));
    v_ = add_parameter("weight_hh", build.uniform({3 * dim, dim}, -bound, bound));
    b_ = add_parameter("bias_ih", build.uniform({3 * dim}, -bound, bound));
    c_ = add_parameter("bias_hh", build.uniform({3 * dim}, -bound, bound));
  }
  /// a, h [N, D] -> [N, D].
  Tensor forward(const Tensor& a, const Tensor& h) const {
    const Tensor of_a = ops::linear(a, w_, b_), of_h = ops::linear(h, v_, c_);
    const auto part = [&](const Tensor& t, int64_t k) { return ops::slice(t, 1, k * dim_, dim_); };
    const Tensor reset = ops::sigmoid(ops::add(part(of_a, 0), part(of_h, 0)));
    const Tensor keep = ops::sigmoid(ops::add(part(of_a, 1), part(of_h, 1)));
    const Tensor fresh = ops::tanh(ops::add(part(of_a, 2), ops::mul(reset, part(of_h, 2))));
    return ops::add(fresh, ops::mul(keep, ops::sub(h, fresh)));
  }

 private:
  int64_t dim_;
  Tensor w_, v_, b_, c_;
};

/// FiGNN (Li et al., CIKM 2019, arXiv 1910.05552): the weights of the edges g_ij = softmax over j != i of
/// LeakyReLU(w . [e_i, e_j]), once; per layer a_i = P_i sum over j of g_ij Q_j h_j + p, h <- GRU(a, h) + e (without
/// use_gru a + h, without use_residual nothing is added); z = sum over f of sigmoid(R flatten(h))_f (r . h_f).
/// Names: fignn.gnn.L.{W_in (P), W_out (Q), bias_p} (without L if reuse_graph_layer), fignn.gru.*, fignn.W_attn.weight,
/// fc.mlp1.weight (r), fc.mlp2.0.weight (R).
class FiGnn final : public Network {
 public:
  FiGnn(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : fields_(shape.fields), dim_(shape.dim) {
    require_uniform(config.network, shape);
    const Settings& s = config.settings;
    residual_ = s.flag("use_residual");
    const bool reuse = s.flag("reuse_graph_layer");
    const int64_t count = s.integer("gnn_layers");
    for (int64_t l = 0; l < (reuse ? 1 : count); ++l) {
      const std::string name = reuse ? "fignn.gnn." : cat("fignn.gnn.", l, ".");
      layers_.push_back({add_parameter(name + "W_in", build.xavier_normal({fields_, dim_, dim_})),
                         add_parameter(name + "W_out", build.xavier_normal({fields_, dim_, dim_})),
                         add_parameter(name + "bias_p", build.constant({dim_}, 0))});
    }
    layers_.resize(static_cast<size_t>(count), layers_[0]);
    if (s.flag("use_gru")) gru_ = &add_child("fignn.gru", std::make_unique<GruCell>(dim_, build));
    std::vector<double> loops(static_cast<size_t>(fields_ * fields_));
    for (size_t f = 0; f < loops.size(); f += static_cast<size_t>(fields_) + 1) loops[f] = -1e30;
    no_loops_ = Tensor::from(loops, {fields_, fields_}).to(build.dtype()).to(build.device());
    edges_ = &add_child("fignn.W_attn", std::make_unique<Linear>(2 * dim_, 1, build, false));
    scores_ = &add_child("fc.mlp1", std::make_unique<Linear>(dim_, 1, build, false));
    weights_ = &add_child("fc.mlp2.0", std::make_unique<Linear>(shape.width, fields_, build, false));
  }
  Tensor hidden(const Fields& x, const Pass&) const override {
    const Tensor& e = x.whole();
    const int64_t rows = e.shape()[0];
    const Tensor graph = edges(e);
    Tensor h = e;
    for (const Layer& layer : layers_) {
      const Tensor a = ops::add(per_field(layer.in, ops::matmul(graph, per_field(layer.out, h))), layer.bias);
      if (gru_) {
        const Tensor next =
            gru_->forward(ops::reshape(a, {rows * fields_, dim_}), ops::reshape(h, {rows * fields_, dim_}));
        h = ops::reshape(next, {rows, fields_, dim_});
      } else {
        h = ops::add(a, h);
      }
      if (residual_) h = ops::add(h, e);
    }
    return flatten(h);
  }
  Tensor output(const Tensor& h) const override {
    const int64_t rows = h.shape()[0];
    const Tensor scores = ops::reshape(scores_->forward(ops::reshape(h, {rows * fields_, dim_})), {rows, fields_});
    return ops::sum(ops::mul(ops::sigmoid(weights_->forward(h)), scores), 1, true);
  }
  int64_t hidden_width() const override { return fields_ * dim_; }

 private:
  struct Layer {
    Tensor in, out, bias;
  };
  // g [B, F, F]. A field has no edge to itself: its score there is so low that e to its power is 0.
  Tensor edges(const Tensor& e) const {
    const int64_t rows = e.shape()[0];
    const Tensor flat = ops::reshape(e, {rows * fields_, dim_});
    const auto half = [&](int64_t k) { return ops::linear(flat, ops::slice(edges_->weight(), 1, k * dim_, dim_), {}); };
    const Tensor both = ops::add(ops::reshape(half(0), {rows, fields_, 1}), ops::reshape(half(1), {rows, 1, fields_}));
    return ops::softmax(ops::add(ops::leaky_relu(both, 0.01), no_loops_), 2);
  }
  int64_t fields_, dim_;
  bool residual_ = false;
  Tensor no_loops_;  // added to the scores [F, F]
  std::vector<Layer> layers_;
  GruCell* gru_ = nullptr;
  Linear *edges_ = nullptr, *scores_ = nullptr, *weights_ = nullptr;
};

}  // namespace

NetworkType FiGNN_network() {
  return {
      .name = "FiGNN",
      .title = "Graph neural network over the fields",
      .source = "Li et al., CIKM 2019, arXiv 1910.05552",
      .formula =
          "z = sum over f of sigmoid(R h)_f (r . h_f), h <- GRU(a, h) + e, a_i = P_i sum over j of g_ij Q_j h_j + p",
      .make = make<FiGnn>,
      .keys = {integer_setting("gnn_layers", 3, 1, kMaxLayers, "number of layers of the graph").with_small(2),
               flag_setting("use_residual", true, "e is added to the result of a layer"),
               flag_setting("use_gru", true, "a gated recurrent unit updates the fields; false: a sum"),
               flag_setting("reuse_graph_layer", false, "all layers have the same weights")},
      .fuxictr = true};
}

}  // namespace kdef::nn
