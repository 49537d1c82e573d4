// The compressed interaction network, alone and beside an MLP.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/fused/outer_linear.h"
#include "ops/layout.h"
#include "ops/reduce.h"

namespace kdef::nn {
namespace {

/// The compressed interaction network: X_0 = e [B, F, D],
///   X_l[h] = sum over (i, j) of W_l[h, i, j] X_0[i] * X_{l-1}[j] + b_l[h];
/// the sums over d of all X_l, side by side.
Tensor interactions(const Tensor& e, const std::vector<std::pair<Tensor, Tensor>>& layers, const Pass& pass) {
  const int64_t rows = e.shape()[0], fields = e.shape()[1], dim = e.shape()[2];
  const auto layer = pass.fused ? ops::outer_linear : ops::outer_linear_composed;
  // One row for each row of the batch and dimension.
  const Tensor x0 = ops::reshape(ops::transpose(e, 1, 2), {rows * dim, fields});
  Tensor x = x0;
  std::vector<Tensor> pooled;
  for (const auto& [w, b] : layers) {
    const int64_t units = w.shape()[0];
    x = layer(x0, x, ops::reshape(w, {units, w.shape()[1]}), b);
    pooled.push_back(ops::sum(ops::reshape(x, {rows, dim, units}), 1));
  }
  return ops::concat(pooled, 1);
}

/// A sum with the compressed interaction network and a Linear behind it.
/// Names: PREFIXcin_layer.layer_L.weight [H_l, F H_{l-1}, 1], .bias, PREFIXfc.
class CinNetwork : public SumNetwork {
 protected:
  void add_cin(const std::string& prefix, const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    const char* key = config.network == "xDeepFM" ? "cin_hidden_units" : "cin_units";
    const std::vector<int64_t>& widths = config.settings.integers(key);
    if (widths.empty()) throw InputError(cat("network ", config.network, ": ", key, " must name at least one layer"));
    int64_t before = shape.fields, total = 0;
    std::vector<std::pair<Tensor, Tensor>> layers;
    for (const int64_t units : widths) {
      const int64_t in = shape.fields * before;
      const std::string name = cat(prefix, "cin_layer.layer_", layers.size() + 1);
      const Tensor w = add_parameter(name + ".weight", build.xavier_normal(units, in).alias({units, in, 1}));
      layers.emplace_back(w, add_parameter(name + ".bias", build.constant({units}, 0)));
      before = units;
      total += units;
    }
    Linear& fc = add_child(prefix + "fc", std::make_unique<Linear>(total, 1, build));
    add_part({total, [layers](const Fields& x, const Pass& pass) { return interactions(x.whole(), layers, pass); },
              [&fc](const Tensor& h) { return fc.forward(h); }});
  }
};

/// cin: the compressed interaction network alone.
class Cin final : public CinNetwork {
 public:
  Cin(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform("cin", shape);
    add_cin("", config, shape, build);
  }
};

/// xDeepFM (Lian et al., KDD 2018, arXiv 1803.05170): z = first order + CIN(e) + MLP(x).
/// Names: lr_layer.*, cin.*, dnn.mlp.*.
class XDeepFm final : public CinNetwork {
 public:
  XDeepFm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    add_first_order("lr_layer", false, shape, build);
    add_cin("cin.", config, shape, build);
    const MlpConfig dnn = mlp_config(config.settings, dnn_keys());
    if (!dnn.hidden_units.empty()) add_mlp("dnn", dnn, shape, build);
  }
};

/// kdef_xdeepfm: a linear map of the embeddings in place of the first order.
class KdefXDeepFm final : public CinNetwork {
 public:
  KdefXDeepFm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    add_linear("lr_layer.lr_layer", shape, build);
    add_cin("cin.", config, shape, build);
    add_mlp(config, shape, build);
  }
};

SettingKey cin_units(const char* name, std::vector<int64_t> standard) {
  return widths_setting(name, std::move(standard), "width of each interaction layer")
      .with_small(std::vector<int64_t>{3, 2});
}

}  // namespace

NetworkType cin_network() {
  return {.name = "cin",
          .title = "The compressed interaction network of xDeepFM, alone",
          .source = "Lian et al., KDD 2018, arXiv 1803.05170",
          .formula = "z = fc([sum over d of X_l]), X_l[h] = sum over (i, j) of W_l[h, i, j] e_i * X_{l-1}[j] + b_l[h]",
          .make = make<Cin>,
          .hidden_layers = HiddenLayers::none,
          .keys = {cin_units("cin_units", {})}};
}

NetworkType kdef_xdeepfm_network() {
  return {.name = "kdef_xdeepfm",
          .title = "xDeepFM as KDEF's authors have it, its linear part on the embeddings",
          .source = "Lian et al., KDD 2018, arXiv 1803.05170",
          .formula = "z = w . x + b + cin(e) + MLP(x)",
          .make = make<KdefXDeepFm>,
          .keys = {cin_units("cin_units", {})}};
}

NetworkType xDeepFM_network() {
  return {.name = "xDeepFM",
          .title = "xDeepFM",
          .source = "Lian et al., KDD 2018, arXiv 1803.05170",
          .formula = "z = LR without b + cin(e) [+ MLP(x)]",
          .make = make<XDeepFm>,
          .keys = {cin_units("cin_hidden_units", {16, 16, 16})},
          .fuxictr = true,
          .mlps = {dnn_keys()}};
}

}  // namespace kdef::nn
