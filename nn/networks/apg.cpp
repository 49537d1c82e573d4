// A factorization machine beside a multilayer perceptron whose weights another network makes for every row.
#include <algorithm>

#include "core/base/names.h"
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"

namespace kdef::nn {
namespace {

MlpKeys hypernet_keys() {
  return {.units = "hypernet_config.hidden_units",
          .activations = "hypernet_config.hidden_activations",
          .dropout = "hypernet_config.dropout_rates",
          .batch_norm = "",
          .standard_units = {},
          .of = "of the network that makes weights"};
}

/// A linear layer whose weight is made for every row by an MLP of a condition c: with [b, S] = MLP(c),
///   y = x U S V + b, U [in, r] and V [r, out] trained, S [r, r];
/// overparametrised U = U_l U_r and V = V_l V_r over p columns; rank r = 0: y = x S + b, S [in, out]. Where the bias is
/// not made, it is trained. Names: U, V, or U_l, U_r, V_l, V_r; bias [1, out]; hypernet.mlp.*.
class MadeLinear final : public Module {
 public:
  struct Sizes {
    int64_t in, out, condition, rank, inner;  // inner: p; 0: U and V are trained themselves
  };
  MadeLinear(const Sizes& size, const Settings& s, Builder& build) : size_(size), makes_bias_(s.flag("generate_bias")) {
    if (size.rank > 0 && size.inner > 0) {
      u_ = {add_parameter("U_l", build.xavier_normal(size.in, size.inner)),
            add_parameter("U_r", build.xavier_normal(size.inner, size.rank))};
      v_ = {add_parameter("V_l", build.xavier_normal(size.rank, size.inner)),
            add_parameter("V_r", build.xavier_normal(size.inner, size.out))};
    } else if (size.rank > 0) {
      u_ = {add_parameter("U", build.xavier_normal(size.in, size.rank))};
      v_ = {add_parameter("V", build.xavier_normal(size.rank, size.out))};
    }
    if (!makes_bias_) bias_ = add_parameter("bias", build.constant({1, size.out}, 0));
    const int64_t weights = size.rank > 0 ? size.rank * size.rank : size.in * size.out;
    hypernet_ = &add_child(
        "hypernet", std::make_unique<Mlp>(
                        size.condition, mlp_config(s, hypernet_keys(), weights + (makes_bias_ ? size.out : 0)), build));
  }
  /// x [B, in], condition [B, C] -> [B, out].
  Tensor forward(const Tensor& x, const Tensor& condition, const Pass& pass) const {
    const int64_t rows = x.shape()[0];
    Tensor s = hypernet_->forward(condition, pass), bias = bias_;
    if (makes_bias_) {
      bias = ops::slice(s, 1, 0, size_.out);
      s = ops::slice(s, 1, size_.out, s.shape()[1] - size_.out);
    }
    Tensor h = u_.empty() ? x : ops::matmul(x, product(u_));
    const int64_t from = h.shape()[1], to = s.shape()[1] / from;
    h = ops::reshape(ops::matmul(ops::reshape(h, {rows, 1, from}), ops::reshape(s, {rows, from, to})), {rows, to});
    if (!v_.empty()) h = ops::matmul(h, product(v_));
    return ops::add(h, bias);
  }

 private:
  static Tensor product(const std::vector<Tensor>& factors) {
    return factors.size() == 1 ? factors[0] : ops::matmul(factors[0], factors[1]);
  }

  Sizes size_;
  bool makes_bias_;
  std::vector<Tensor> u_, v_;
  Tensor bias_;
  Mlp* hypernet_ = nullptr;
};

/// What the conditions of the layers are made of: of each layer's input, or of the embeddings of chosen fields, by the
/// network's tables or by tables of its own. Names: embedding_layer.embedding_layers.FIELD.weight.
class Condition final : public Module {
 public:
  Condition(const Settings& s, const EmbeddingShape& shape, Builder& build)
      : by_fields_(s.text("condition_mode") != "self-wise") {
    if (!by_fields_) return;
    const std::vector<std::string>& names = s.texts("condition_features");
    const std::string what = "network APG_DeepFM: condition_features";
    if (names.empty()) {
      throw InputError(cat(what, " is empty; condition_mode ", s.text("condition_mode"), " needs columns there"));
    }
    fields_ = field_numbers(names, what, shape);
    if (!s.flag("new_condition_emb")) return;
    tables_ = &add_child("", std::make_unique<EmbeddingTables>(fields_named(names, what, shape), shape.dim, build));
  }
  /// The width of the condition of a layer that reads `in` numbers.
  int64_t width(int64_t in, int64_t dim) const { return by_fields_ ? static_cast<int64_t>(fields_.size()) * dim : in; }
  /// The condition of all layers; undefined: each layer's input is its own.
  Tensor read(const Fields& x) const {
    if (!by_fields_) return {};
    return tables_ ? x.through(*tables_).flat() : flatten(chosen_fields(x.whole(), fields_));
  }

 private:
  bool by_fields_;
  std::vector<int64_t> fields_;
  EmbeddingTables* tables_ = nullptr;
};

/// An MLP of MadeLinear. Names: dense_layers.linear_N.*, dense_layers.bn_N.*, dense_layers.act_N.*, N from 1;
/// dense_layers.out_proj.*.
class MadeMlp final : public Module {
 public:
  MadeMlp(const Settings& s, const Condition& condition, const EmbeddingShape& shape, Builder& build)
      : condition_(condition), width_(shape.width) {
    const MlpConfig mlp = mlp_config(s, hidden_keys());
    const size_t count = mlp.hidden_units.size();
    const std::vector<int64_t> ranks = per_layer(s, "rank_k", count), inner = per_layer(s, "overparam_p", count);
    for (size_t l = 0; l < count; ++l) {
      const int64_t units = mlp.hidden_units[l];
      check_sizes(l, units, ranks[l], inner[l]);
      const auto name = [&](const char* part) { return cat("dense_layers.", part, "_", l + 1); };
      Layer layer;
      layer.linear = &add_child(
          name("linear"),
          std::make_unique<MadeLinear>(
              MadeLinear::Sizes{width_, units, condition.width(width_, shape.dim), ranks[l], inner[l]}, s, build));
      if (mlp.batch_norm) layer.tail.batch_norm = &add_child(name("bn"), std::make_unique<BatchNorm1d>(units, build));
      if (mlp.activations[l] != Activation::none) {
        layer.tail.activation = &add_child(name("act"), make_activation(mlp.activations[l], units, build));
      }
      if (mlp.dropout[l] > 0) {
        layer.tail.dropout = &add_child(name("drop"), std::make_unique<Dropout>(mlp.dropout[l], build));
      }
      layers_.push_back(layer);
      width_ = units;
    }
    output_ = &add_child("dense_layers.out_proj", std::make_unique<Linear>(width_, 1, build));
  }
  Tensor hidden(const Fields& x, const Pass& pass) const {
    Tensor h = x.flat();
    const Tensor condition = condition_.read(x);
    for (const Layer& layer : layers_) {
      h = layer.tail.forward(layer.linear->forward(h, condition.defined() ? condition : h, pass), pass);
    }
    return h;
  }
  Tensor output(const Tensor& h) const { return output_->forward(h); }
  int64_t hidden_width() const { return width_; }

 private:
  struct Layer {
    MadeLinear* linear = nullptr;
    HiddenTail tail;
  };
  static std::vector<int64_t> per_layer(const Settings& s, const std::string& key, size_t layers) {
    std::vector<int64_t> values = s.integers(key);
    if (values.size() == 1) values.resize(layers, values[0]);
    if (values.size() != layers) {
      throw InputError(cat("network APG_DeepFM: ", key, " needs one value, or one for each of the ", layers,
                           " layers of hidden_units, and has ", values.size()));
    }
    return values;
  }
  void check_sizes(size_t layer, int64_t units, int64_t rank, int64_t inner) const {
    if (rank > std::min(width_, units)) {
      throw InputError(cat("network APG_DeepFM: rank_k ", rank, " is larger than layer ", layer + 1, ", which is [",
                           width_, ", ", units, "]"));
    }
    if (rank > 0 && inner > 0 && inner < rank) {
      throw InputError(
          cat("network APG_DeepFM: overparam_p ", inner, " is smaller than rank_k ", rank, " of layer ", layer + 1));
    }
  }

  const Condition& condition_;
  int64_t width_;
  std::vector<Layer> layers_;
  Linear* output_ = nullptr;
};

/// APG_DeepFM (Yan et al., NeurIPS 2022, arXiv 2203.16218): z = FM + MadeMlp(x), whose layers are y = x U S(c) V +
/// b(c). Names: fm.lr_layer.*, condition_emb_layer.*, mlp.*.
class ApgDeepFm final : public SumNetwork {
 public:
  ApgDeepFm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    add_fm("fm.lr_layer", shape, build);
    const Settings& s = config.settings;
    const Condition& condition = add_child("condition_emb_layer", std::make_unique<Condition>(s, shape, build));
    const MadeMlp& mlp = add_child("mlp", std::make_unique<MadeMlp>(s, condition, shape, build));
    add_part({mlp.hidden_width(), [&mlp](const Fields& x, const Pass& pass) { return mlp.hidden(x, pass); },
              [&mlp](const Tensor& h) { return mlp.output(h); }});
  }
};

// A number for every layer, or one for all; null and 0: there is none.
SettingKey numbers_of_layers(const std::string& name, int64_t standard, int64_t small, const std::string& meaning) {
  using Widths = std::vector<int64_t>;
  SettingKey key = widths_setting(name, {standard}, meaning).with_small(Widths{small}).with_null(Widths{0});
  key.min = 0;
  key.per_layer = true;
  return key;
}

}  // namespace

NetworkType APG_DeepFM_network() {
  const std::vector<std::string> modes = {"self-wise", "group-wise", "mix-wise"};
  return {
      .name = "APG_DeepFM",
      .title = "DeepFM whose hidden layers have weights made for every row",
      .source = "Yan et al., NeurIPS 2022, arXiv 2203.16218",
      .formula = "z = LR + sum over i < j of <e_i, e_j> + w . h + b, h <- act(BN(h U S(c) V + b(c))), [b, S] = MLP(c)",
      .make = make<ApgDeepFm>,
      .keys = {texts_setting("condition_features", {}, {}, "columns whose embeddings are the condition c")
                   .with_null(std::vector<std::string>{})
                   .with_small(std::vector<std::string>{"user"}),
               choice_setting(
                   "condition_mode", "self-wise", modes,
                   "self-wise: c is the input of the layer; group-wise and mix-wise, which are one: c are the "
                   "embeddings of condition_features")
                   .with_small("group-wise"),
               flag_setting("new_condition_emb", false, "c has tables of its own").with_small(true),
               numbers_of_layers("rank_k", 32, 2,
                                 "rows and columns of S; null: S is the whole weight, without U and V"),
               numbers_of_layers("overparam_p", 1024, 3,
                                 "U and V are products of two matrices over so many columns; null: they are not"),
               flag_setting("generate_bias", true, "the bias is made, too; false: it is trained")},
      .fuxictr = true,
      .mlps = {hidden_keys(), hypernet_keys()},
      .tables = ""};
}

}  // namespace kdef::nn
