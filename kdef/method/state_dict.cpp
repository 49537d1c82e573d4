#include "kdef/method/state_dict.h"

#include <algorithm>
#include <map>

#include "nn/networks/registry.h"

namespace kdef {
namespace {

const std::string kTables = "embedding_layer.";

}  // namespace

bool is_class_of_fuxictr(const EnsembleConfig& config) {
  return config.students.size() == 1 && config.shared_embedding && nn::network_type(config.students[0].network).fuxictr;
}

std::string name_in_fuxictr(const EnsembleConfig& config, const std::string& name) {
  const std::string network = "networks.0.";
  if (!is_class_of_fuxictr(config)) return name;
  if (name.starts_with(network)) return name.substr(network.size());
  if (!name.starts_with(kTables)) return name;
  return nn::network_type(config.students[0].network).tables + name.substr(kTables.size());
}

bool is_constant_in_fuxictr(const std::string& name) {
  const std::string last = name.substr(name.rfind('.') + 1);
  const std::vector<std::string> constants = {"num_batches_tracked", "triu_index", "triu_mask", "conj_sign"};
  return std::find(constants.begin(), constants.end(), last) != constants.end();
}

std::vector<std::pair<std::string, Tensor>> shared_tables(const Ensemble& model,
                                                          const std::vector<nn::EmbeddingField>& fields) {
  std::map<std::string, Tensor> tensors;
  for (const nn::Parameter& p : model.parameters()) tensors.emplace(p.name, p.tensor.detach());
  for (const nn::Buffer& b : model.buffers()) tensors.emplace(b.name, b.tensor);
  std::map<std::string, std::string> owner;  // of the table that a field reads
  std::vector<std::pair<std::string, Tensor>> all;
  for (const nn::EmbeddingField& field : fields) {
    owner[field.name] = field.shared.empty() ? field.name : owner.at(field.shared);
    if (field.shared.empty()) continue;
    const std::string before = ".embedding_layers.", part = before + owner.at(field.name) + ".";
    for (const auto& [name, tensor] : tensors) {
      const size_t at = name.rfind(part);
      if (at == std::string::npos) continue;
      const std::string its = name.substr(0, at) + before + field.name + "." + name.substr(at + part.size());
      if (tensors.count(its) == 0) all.emplace_back(name_in_fuxictr(model.config(), its), tensor);
    }
  }
  return all;
}

std::vector<std::pair<std::string, Tensor>> state_dict(const Ensemble& model,
                                                       const std::vector<nn::EmbeddingField>& fields, int64_t steps) {
  std::vector<std::pair<std::string, Tensor>> all;
  for (const nn::Parameter& p : model.parameters()) {
    all.emplace_back(name_in_fuxictr(model.config(), p.name), p.tensor.detach());
  }
  for (const auto& shared : shared_tables(model, fields)) all.push_back(shared);
  const std::string mean = "running_mean";
  for (const nn::Buffer& b : model.buffers()) {
    const std::string name = name_in_fuxictr(model.config(), b.name);
    all.emplace_back(name, b.tensor);
    if (!name.ends_with(mean)) continue;
    all.emplace_back(name.substr(0, name.size() - mean.size()) + "num_batches_tracked",
                     Tensor::from<int64_t>({steps}, {}));
  }
  return all;
}

}  // namespace kdef
