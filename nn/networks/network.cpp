#include "nn/networks/networks.h"

#include "ops/layout.h"

namespace kdef::nn {

MlpConfig mlp_config(const NetworkConfig& config, int64_t output) {
  MlpConfig mlp;
  mlp.hidden_units = config.hidden_units;
  for (const std::string& name : config.hidden_activations) mlp.activations.push_back(parse_activation(name));
  mlp.dropout = config.dropout;
  mlp.batch_norm = config.batch_norm;
  mlp.layer_norm = config.layer_norm;
  mlp.output = output;
  return mlp;
}

void require_uniform(const char* network, const EmbeddingShape& shape) {
  if (shape.dim == 0) {
    throw InputError(cat("network ", network,
                         ": needs the same embedding_dim for all fields; remove embedding_dim from "
                         "feature_cols, or use mlp"));
  }
}

int64_t hidden_width(const NetworkConfig& config, int64_t in) {
  return config.hidden_units.empty() ? in : config.hidden_units.back();
}

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

// Every network by its name in the configuration.
constexpr struct {
  const char* name;
  NetworkMaker* make;
} kNetworks[] = {
    {"mlp", make_mlp_network},
    {"product", make_product},
    {"finalnet", make_finalnet},
    {"exponential_cross", make_exponential_cross},
    {"cross_v2", make_cross_v2},
    {"dcnv2", make_dcnv2},
    {"cin", make_cin},
    {"xdeepfm", make_xdeepfm},
    {"wide_deep", make_wide_deep},
    {"logistic_regression", make_logistic_regression},
    {"fm", make_fm},
    {"deepfm", make_deepfm},
    {"afn", make_afn},
    {"autoint", make_autoint},
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
  return Mlp::stackable(mlps, ops::gemm_precision(), fields[0].rows());
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

std::unique_ptr<Network> make_mlp_network(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
  return std::make_unique<MlpNetwork>(config, shape, build);
}

std::unique_ptr<Network> make_network(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
  std::string known;
  for (const auto& row : kNetworks) {
    if (config.network == row.name) return row.make(config, shape, build);
    known += cat(known.empty() ? "" : ", ", row.name);
  }
  throw InputError(cat("network '", config.network, "' is unknown; known: ", known));
}

std::vector<std::string> network_names() {
  std::vector<std::string> names;
  for (const auto& row : kNetworks) names.push_back(row.name);
  return names;
}

}  // namespace kdef::nn
