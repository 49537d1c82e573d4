#include "nn/network.h"

#include "ops/layout.h"

namespace kdef::nn {
namespace {

MlpConfig mlp_config(const NetworkConfig& config) {
  MlpConfig mlp;
  mlp.hidden_units = config.hidden_units;
  for (const std::string& name : config.hidden_activations) mlp.activations.push_back(parse_activation(name));
  mlp.dropout = config.dropout;
  mlp.batch_norm = config.batch_norm;
  mlp.layer_norm = config.layer_norm;
  return mlp;
}

Tensor flatten(const Tensor& x) {
  return x.rank() == 2 ? x : ops::reshape(x, {x.shape()[0], x.numel() / x.shape()[0]});
}

/// mlp: z = MLP(flatten(e)).
class MlpNetwork final : public Network {
 public:
  MlpNetwork(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build)
      : width_(config.hidden_units.empty() ? shape.width : config.hidden_units.back()),
        mlp_(add_child("", std::make_unique<Mlp>(shape.width, mlp_config(config), build))) {}

  Tensor hidden(const Tensor& e, const Pass& pass) const override { return mlp_.hidden(flatten(e), pass); }
  Tensor output(const Tensor& h) const override { return mlp_.output(h); }
  int64_t hidden_width() const override { return width_; }

 private:
  int64_t width_;
  Mlp& mlp_;
};

template <class N>
std::unique_ptr<Network> make(const NetworkConfig& config, const EmbeddingShape& shape, Builder& build) {
  return std::make_unique<N>(config, shape, build);
}

// Every network by its name in the configuration.
constexpr struct {
  const char* name;
  std::unique_ptr<Network> (*make)(const NetworkConfig&, const EmbeddingShape&, Builder&);
} kNetworks[] = {
    {"mlp", make<MlpNetwork>},
};

}  // namespace

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
