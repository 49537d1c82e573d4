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

Tensor flatten(const Tensor& x) {
  return x.rank() == 2 ? x : ops::reshape(x, {x.shape()[0], x.shape().product(1, x.rank())});
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
      : width_(nn::hidden_width(config, shape.width)),
        has_layers_(!config.hidden_units.empty()),
        mlp_(add_child("", std::make_unique<Mlp>(shape.width, mlp_config(config), build))) {}

  Tensor hidden(const Tensor& e, const Pass& pass) const override { return mlp_.hidden(flatten(e), pass); }
  bool reads_distinct() const override { return has_layers_; }
  Tensor hidden(const SplitEmbedding& e, const Pass& pass) const override { return mlp_.hidden(e, pass); }
  Tensor forward(const Tensor& e, const Pass& pass) const override { return mlp_.forward(flatten(e), pass); }
  Tensor forward(const SplitEmbedding& e, const Pass& pass) const override { return mlp_.forward(e, pass); }
  Tensor output(const Tensor& h) const override { return mlp_.output(h); }
  int64_t hidden_width() const override { return width_; }
  const Mlp* as_mlp() const override { return &mlp_; }

 private:
  int64_t width_;
  bool has_layers_;
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

}  // namespace

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
