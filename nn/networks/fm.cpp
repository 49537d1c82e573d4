// First order and pairs: logistic regression, factorization machines, Wide & Deep, DeepFM and NFM.
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"

namespace kdef::nn {
namespace {

/// LR (Richardson et al., WWW 2007): z = first order. Names: lr_layer.*.
class Lr final : public SumNetwork {
 public:
  Lr(const NetworkConfig&, const EmbeddingShape& shape, Builder& build) {
    add_first_order("lr_layer", true, shape, build);
  }
};

/// FM (Rendle, ICDM 2010): z = first order + sum over i < j of <e_i, e_j>. Names: fm.lr_layer.*.
class Fm : public SumNetwork {
 public:
  Fm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    add_fm("fm.lr_layer", shape, build);
  }
};

/// DeepFM (Guo et al., IJCAI 2017, arXiv 1703.04247): z = FM + MLP(x). Names: fm.lr_layer.*, mlp.mlp.*.
class DeepFm final : public Fm {
 public:
  DeepFm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) : Fm(config, shape, build) {
    add_mlp("mlp", mlp_config(config.settings, hidden_keys()), shape, build);
  }
};

/// WideDeep (Cheng et al. 2016, arXiv 1606.07792): z = first order + MLP(x). Names: lr_layer.*, dnn.mlp.*.
class WideDeep final : public SumNetwork {
 public:
  WideDeep(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    add_first_order("lr_layer", false, shape, build);
    add_mlp("dnn", mlp_config(config.settings, hidden_keys()), shape, build);
  }
};

/// NFM (He, Chua, SIGIR 2017, arXiv 1708.05027): z = first order + MLP(sum over i < j of e_i * e_j).
/// Names: lr_layer.*, dnn.mlp.*.
class Nfm final : public SumNetwork {
 public:
  Nfm(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
    require_uniform(config.network, shape);
    add_first_order("lr_layer", false, shape, build);
    Mlp& dnn = add_child("dnn", std::make_unique<Mlp>(shape.dim, mlp_config(config.settings, hidden_keys()), build));
    add_part({dnn.hidden_width(),
              [&dnn](const Fields& x, const Pass& pass) { return dnn.hidden(sum_of_pairs(x.whole()), pass); },
              [&dnn](const Tensor& h) { return dnn.output(h); }});
  }
};

}  // namespace

NetworkType LR_network() {
  return {.name = "LR",
          .title = "Logistic regression",
          .source = "Richardson et al., WWW 2007",
          .formula = "z = LR, the sum over the fields of a number per id (or a number times the value) + b",
          .make = make<Lr>,
          .fuxictr = true,
          .own_tables = always};
}

NetworkType FM_network() {
  return {.name = "FM",
          .title = "Factorization machine",
          .source = "Rendle, ICDM 2010",
          .formula = "z = LR + sum over i < j of <e_i, e_j>",
          .make = make<Fm>,
          .fuxictr = true};
}

NetworkType DeepFM_network() {
  return {.name = "DeepFM",
          .title = "DeepFM",
          .source = "Guo et al., IJCAI 2017, arXiv 1703.04247",
          .formula = "z = LR + sum over i < j of <e_i, e_j> + MLP(x)",
          .make = make<DeepFm>,
          .fuxictr = true,
          .mlps = {hidden_keys()}};
}

NetworkType WideDeep_network() {
  return {.name = "WideDeep",
          .title = "Wide & Deep",
          .source = "Cheng et al. 2016, arXiv 1606.07792",
          .formula = "z = LR without b + MLP(x)",
          .make = make<WideDeep>,
          .fuxictr = true,
          .mlps = {hidden_keys()}};
}

NetworkType NFM_network() {
  return {.name = "NFM",
          .title = "Neural factorization machine",
          .source = "He, Chua, SIGIR 2017, arXiv 1708.05027",
          .formula = "z = LR without b + MLP(sum over i < j of e_i * e_j)",
          .make = make<Nfm>,
          .keys = {unread_embedding_dropout()},
          .fuxictr = true,
          .mlps = {hidden_keys()}};
}

}  // namespace kdef::nn
