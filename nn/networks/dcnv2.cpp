// Deep & Cross networks of the second version.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/softmax.h"

namespace kdef::nn {
namespace {

/// The cross layers of DCNv2 (Wang et al., WWW 2021, arXiv 2008.13535): x_{l+1} = x_l + x_0 * (W_l x_l + b_l).
class CrossLayers final : public Module {
 public:
  CrossLayers(int64_t width, int64_t count, Builder& build) {
    for (int64_t i = 0; i < count; ++i) {
      layers_.push_back(&add_child("cross_layers." + std::to_string(i), std::make_unique<Linear>(width, width, build)));
    }
  }
  Tensor forward(const Fields& fields, const Pass& pass) const {
    const Tensor x0 = fields.flat();
    Tensor x = x0;
    for (const Linear* layer : layers_) {
      // The first layer reads x_0, of which the batch may know the distinct ids.
      const Tensor y = layer == layers_.front() ? layer->forward(fields) : layer->forward(x);
      x = ops::add(x, ops::mul(x0, y));
      pass.show(x);
    }
    return x;
  }

 private:
  std::vector<Linear*> layers_;
};

/// cross_v2: z = fc(CrossLayers(flatten(e))).
class CrossV2 final : public Network {
 public:
  CrossV2(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : width_(shape.width),
        cross_(add_child(
            "", std::make_unique<CrossLayers>(shape.width, config.settings.integer("num_cross_layers"), build))),
        fc_(add_child("fc", std::make_unique<Linear>(shape.width, 1, build))) {}
  Tensor hidden(const Fields& x, const Pass& pass) const override { return cross_.forward(x, pass); }
  Tensor output(const Tensor& h) const override { return fc_.forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  int64_t width_;
  CrossLayers& cross_;
  Linear& fc_;
};

/// kdef_dcnv2: z = fc([MLP without head (x), CrossLayers(x)]), x = flatten(e).
class KdefDcnV2 final : public Network {
 public:
  KdefDcnV2(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : cross_(add_child("crossnet", std::make_unique<CrossLayers>(
                                         shape.width, config.settings.integer("num_cross_layers"), build))),
        dnn_(add_child("dnn", std::make_unique<Mlp>(shape.width, mlp_config(config, 0), build))),
        width_(dnn_.hidden_width() + shape.width),
        fc_(add_child("fc", std::make_unique<Linear>(width_, 1, build))) {}
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    return ops::concat({dnn_.forward(fields, pass), cross_.forward(fields, pass)}, 1);
  }
  Tensor output(const Tensor& h) const override { return fc_.forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  CrossLayers& cross_;
  Mlp& dnn_;
  int64_t width_;
  Linear& fc_;
};

/// The low-rank mixture of DCNv2, K experts of rank r in each layer; the gates g_k are shared by all layers:
///   x_{l+1} = x_l + sum_k softmax_k(g_k . x_l) x_0 * (U_lk tanh(C_lk tanh(V_lk^T x_l)) + b_l).
/// Names: U_list.L, V_list.L [K, width, r], C_list.L [K, r, r], bias.L [width, 1], gating.K.weight [1, width].
class CrossMixture final : public Module {
 public:
  CrossMixture(int64_t width, const Settings& s, Builder& build) : experts_(s.integer("num_experts")) {
    const int64_t rank = s.integer("low_rank");
    const auto xavier = [&](int64_t n) { return build.xavier_normal({experts_, n, rank}); };
    for (int64_t l = 0; l < s.integer("num_cross_layers"); ++l) {
      layers_.push_back({add_parameter(cat("U_list.", l), xavier(width)),
                         add_parameter(cat("V_list.", l), xavier(width)),
                         add_parameter(cat("C_list.", l), xavier(rank)),
                         add_parameter(cat("bias.", l), build.constant({width, 1}, 0))});
    }
    for (int64_t k = 0; k < experts_; ++k) {
      gates_.push_back(&add_child(cat("gating.", k), std::make_unique<Linear>(width, 1, build, false)));
    }
  }
  Tensor forward(const Tensor& x0, const Pass& pass) const {
    Tensor x = x0;
    for (const Layer& layer : layers_) {
      std::vector<Tensor> scores;
      for (const Linear* gate : gates_) scores.push_back(gate->forward(x));
      const Tensor weights = ops::softmax(ops::concat(scores, 1), 1);
      const auto of = [](const Tensor& all, int64_t k) {
        return ops::reshape(ops::slice(all, 0, k, 1), {all.shape()[1], all.shape()[2]});
      };
      const Tensor bias = ops::reshape(layer.b, {layer.b.numel()});
      Tensor sum = x;
      for (int64_t k = 0; k < experts_; ++k) {
        const Tensor low = ops::tanh(ops::matmul(x, of(layer.v, k)));
        const Tensor high = ops::linear(ops::tanh(ops::linear(low, of(layer.c, k), {})), of(layer.u, k), bias);
        sum = ops::add(sum, ops::mul(ops::slice(weights, 1, k, 1), ops::mul(x0, high)));
      }
      x = sum;
      pass.show(x);
    }
    return x;
  }

 private:
  struct Layer {
    Tensor u, v, c, b;
  };
  int64_t experts_;
  std::vector<Layer> layers_;
  std::vector<Linear*> gates_;
};

MlpKeys stacked_keys() {
  return {.units = "stacked_dnn_hidden_units",
          .activations = "dnn_activations",
          .standard_units = {},
          .of = "behind the cross layers"};
}
MlpKeys parallel_keys() {
  return {.units = "parallel_dnn_hidden_units",
          .activations = "dnn_activations",
          .standard_units = {},
          .of = "beside the cross layers"};
}

/// DCNv2: with x_L the cross layers (or their low-rank mixture) of x_0 = flatten(e), by model_structure
///   crossnet_only: z = fc(x_L); stacked: fc(MLP_s(x_L)); parallel: fc([x_L, MLP_p(x_0)]);
///   stacked_parallel: fc([MLP_s(x_L), MLP_p(x_0)]).
/// Names: crossnet.*, stacked_dnn.mlp.*, parallel_dnn.mlp.*, fc.*.
class DcnV2 final : public Network {
 public:
  DcnV2(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) : width_(shape.width) {
    const Settings& s = config.settings;
    if (s.flag("use_low_rank_mixture")) {
      mixture_ = &add_child("crossnet", std::make_unique<CrossMixture>(shape.width, s, build));
    } else {
      cross_ = &add_child("crossnet", std::make_unique<CrossLayers>(shape.width, s.integer("num_cross_layers"), build));
    }
    const std::string& structure = s.text("model_structure");
    const auto add_dnn = [&](const char* name, const MlpKeys& keys) {
      const MlpConfig mlp = mlp_config(s, keys, 0);
      if (mlp.hidden_units.empty()) {
        throw InputError(cat("network DCNv2: model_structure ", structure, " needs ", keys.units));
      }
      return &add_child(name, std::make_unique<Mlp>(shape.width, mlp, build));
    };
    if (structure.starts_with("stacked")) {
      stacked_ = add_dnn("stacked_dnn", stacked_keys());
      width_ = stacked_->hidden_width();
    }
    if (structure.ends_with("parallel")) {
      parallel_ = add_dnn("parallel_dnn", parallel_keys());
      width_ += parallel_->hidden_width();
    }
    fc_ = &add_child("fc", std::make_unique<Linear>(width_, 1, build));
  }
  Tensor hidden(const Fields& fields, const Pass& pass) const override {
    Tensor x = mixture_ ? mixture_->forward(fields.flat(), pass) : cross_->forward(fields, pass);
    if (stacked_) x = stacked_->forward(x, pass);
    return parallel_ ? ops::concat({x, parallel_->forward(fields, pass)}, 1) : x;
  }
  Tensor output(const Tensor& h) const override { return fc_->forward(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  int64_t width_;
  CrossLayers* cross_ = nullptr;
  CrossMixture* mixture_ = nullptr;
  Mlp *stacked_ = nullptr, *parallel_ = nullptr;
  Linear* fc_ = nullptr;
};

SettingKey num_cross_layers() {
  return integer_setting("num_cross_layers", 3, 1, kMaxLayers, "number of cross layers").with_small(2);
}

}  // namespace

NetworkType cross_v2_network() {
  return {.name = "cross_v2",
          .title = "The cross layers of DCNv2, alone",
          .source = "Wang et al., WWW 2021, arXiv 2008.13535",
          .formula = "z = fc(x_L), x_{l+1} = x_l + x_0 * (W_l x_l + b_l)",
          .make = make<CrossV2>,
          .hidden_layers = HiddenLayers::none,
          .dropout_layers = "num_cross_layers",
          .keys = {num_cross_layers()}};
}

NetworkType kdef_dcnv2_network() {
  return {.name = "kdef_dcnv2",
          .title = "Deep & Cross network, version 2, parallel, as KDEF's authors have it",
          .source = "Wang et al., WWW 2021, arXiv 2008.13535",
          .formula = "z = fc([MLP(x), x_L]), x_{l+1} = x_l + x_0 * (W_l x_l + b_l)",
          .make = make<KdefDcnV2>,
          .keys = {num_cross_layers()}};
}

NetworkType DCNv2_network() {
  return {.name = "DCNv2",
          .title = "Deep & Cross network, version 2 (DCNv2)",
          .source = "Wang et al., WWW 2021, arXiv 2008.13535",
          .formula = "z = fc([x_L, MLP(x)]) (parallel), x_{l+1} = x_l + x_0 * (W_l x_l + b_l)",
          .make = make<DcnV2>,
          .keys = {choice_setting("model_structure", "parallel",
                                  {"crossnet_only", "stacked", "parallel", "stacked_parallel"},
                                  "whether an MLP stands behind the cross layers, beside them, or both")
                       .with_small("stacked_parallel"),
                   num_cross_layers(),
                   flag_setting("use_low_rank_mixture", false, "cross layers are mixtures of experts of low rank"),
                   integer_setting("low_rank", 32, 1, kMaxWidth, "rank of an expert").with_small(3),
                   integer_setting("num_experts", 4, 1, kMaxWidth, "experts of each cross layer").with_small(2)},
          .fuxictr = true,
          .mlps = {stacked_keys(), parallel_keys()}};
}

}  // namespace kdef::nn
