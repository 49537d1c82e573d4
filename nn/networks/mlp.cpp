// The multilayer perceptron, and networks that are computed together.
#include "nn/mlp.h"

#include "core/base/group.h"
#include "nn/networks/parts.h"
#include "nn/networks/registry.h"
#include "ops/layout.h"

namespace kdef::nn {
namespace {

/// mlp: z = MLP(flatten(e)).
class MlpNetwork final : public Network {
 public:
  MlpNetwork(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : mlp_(add_child("", std::make_unique<Mlp>(shape.width, mlp_config(config), build))) {}

  Tensor forward(const Fields& x, const Pass& pass) const override { return mlp_.forward(x, pass); }
  Tensor hidden(const Fields& x, const Pass& pass) const override { return mlp_.hidden(x, pass); }
  Tensor output(const Tensor& h) const override { return mlp_.output(h); }
  int64_t hidden_width() const override { return mlp_.hidden_width(); }
  const Mlp& mlp() const { return mlp_; }

 private:
  Mlp& mlp_;
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

Tensor forward_all(const std::vector<const Network*>& networks, const std::vector<Fields>& fields, const Pass& pass) {
  KDEF_CHECK(!networks.empty() && networks.size() == fields.size(), "networks: ", networks.size(),
             " networks with the embeddings of ", fields.size());
  if (runs_stacked(networks, fields, pass)) {
    std::vector<const Mlp*> mlps;
    for (const Network* network : networks) mlps.push_back(mlp_of(*network));
    return Mlp::forward_stacked(mlps, fields[0].flat(), pass);
  }
  std::vector<Tensor> logits;
  for (size_t k = 0; k < networks.size(); ++k) logits.push_back(networks[k]->forward(fields[k], pass));
  return ops::concat(logits, 1);
}

NetworkType mlp_network() {
  return {.name = "mlp",
          .title = "Multilayer perceptron (DNN)",
          .source = "Covington et al., RecSys 2016",
          .formula = "z = MLP(x)",
          .make = make<MlpNetwork>};
}

}  // namespace kdef::nn
