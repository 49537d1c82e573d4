// The multilayer perceptron, and networks that are computed together.
#include "nn/mlp.h"

#include "core/base/group.h"
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

/// z = MLP(flatten(e)). Names: mlp.N.*, with `name` in front of them.
class MlpNetwork : public Network {
 public:
  MlpNetwork(const std::string& name, const MlpConfig& config, const EmbeddingShape& shape, Builder& build)
      : mlp_(add_child(name, std::make_unique<Mlp>(shape.width, config, build))) {}

  Tensor forward(const Fields& x, const Pass& pass) const override { return mlp_.forward(x, pass); }
  Tensor hidden(const Fields& x, const Pass& pass) const override { return mlp_.hidden(x, pass); }
  Tensor output(const Tensor& h) const override { return mlp_.output(h); }
  int64_t hidden_width() const override { return mlp_.hidden_width(); }
  const Mlp& mlp() const { return mlp_; }

 private:
  Mlp& mlp_;
};

/// mlp, as the authors of KDEF name its parameters.
class PlainMlp final : public MlpNetwork {
 public:
  PlainMlp(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : MlpNetwork("", mlp_config(config), shape, build) {}
};

/// DNN, as FuxiCTR does.
class Dnn final : public MlpNetwork {
 public:
  Dnn(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : MlpNetwork("mlp", mlp_config(config.settings, hidden_keys()), shape, build) {}
};

// Whether the networks are computed side by side (Mlp::forward_stacked): in training, on a device where the number of
// launches counts.
bool runs_stacked(const std::vector<const Network*>& networks, const std::vector<Fields>& fields, const Pass& pass) {
  if (fields[0].device().is_cpu() || !pass.training || !pass.fused || pass.tap != nullptr) return false;
  std::vector<const Mlp*> mlps;
  for (size_t k = 0; k < networks.size(); ++k) {
    mlps.push_back(mlp_of(*networks[k]));
    if (mlps.back() == nullptr || !fields[k].same_as(fields[0])) return false;
  }
  if (!Mlp::stackable(mlps, ops::gemm_precision())) return false;
  // The members of a group take the same way, since it decides how many sums over the batch they make.
  return !Group::current().agree(!Mlp::stacks_rows(ops::gemm_precision(), fields[0].rows()));
}

}  // namespace

const Mlp* mlp_of(const Network& network) {
  const auto* mlp = dynamic_cast<const MlpNetwork*>(&network);
  return mlp == nullptr ? nullptr : &mlp->mlp();
}

Tensor forward_all(const std::vector<const Network*>& networks, const std::vector<Fields>& fields, const Pass& pass,
                   std::vector<Tensor>* branches) {
  KDEF_CHECK(!networks.empty() && networks.size() == fields.size(), "networks: ", networks.size(),
             " networks with the embeddings of ", fields.size());
  if (runs_stacked(networks, fields, pass)) {
    std::vector<const Mlp*> mlps;
    for (const Network* network : networks) mlps.push_back(mlp_of(*network));
    if (branches) branches->assign(networks.size(), Tensor());
    return Mlp::forward_stacked(mlps, fields[0].flat(), pass);
  }
  std::vector<Tensor> logits;
  for (size_t k = 0; k < networks.size(); ++k) {
    NetworkOutput out = networks[k]->forward_branches(fields[k], pass);
    logits.push_back(out.logit);
    if (branches) branches->push_back(out.branches);
  }
  return ops::concat(logits, 1);
}

NetworkType mlp_network() {
  return {.name = "mlp",
          .title = "Multilayer perceptron, as KDEF's authors have it",
          .source = "Covington et al., RecSys 2016",
          .formula = "z = MLP(x)",
          .make = make<PlainMlp>};
}

NetworkType DNN_network() {
  return {.name = "DNN",
          .title = "FuxiCTR's DNN",
          .source = "Covington et al., RecSys 2016",
          .formula = "z = MLP(x)",
          .make = make<Dnn>,
          .fuxictr = true,
          .mlps = {hidden_keys()}};
}

}  // namespace kdef::nn
