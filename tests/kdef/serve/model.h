// Ensembles with random parameters, for tests of what is made of a trained model.
#pragma once

#include <string>
#include <vector>

#include "kdef/method/ensemble.h"
#include "tests/nn/networks/support.h"

namespace kdef::test {

/// An ensemble in fp32 over nn::test::some_fields() whose parameters and buffers are all random, between -scale and
/// scale; buffers between 0.1 and 1.
class RandomModel {
 public:
  explicit RandomModel(const EnsembleConfig& config,
                       const std::vector<nn::EmbeddingField>& fields = nn::test::some_fields(), double scale = 1)
      : build_(3), ensemble_(config, fields, build_) {
    uint64_t seed = 40;
    for (const nn::Parameter& p : ensemble_.parameters()) fill(p.tensor, -scale, scale, seed++);
    for (const nn::Buffer& b : ensemble_.buffers()) fill(b.tensor, 0.1, 1, seed++);
  }
  const Ensemble& operator*() const { return ensemble_; }
  const Ensemble* operator->() const { return &ensemble_; }

 private:
  static void fill(Tensor t, double low, double high, uint64_t seed) {
    t.copy_from(ops::random_uniform(t.shape(), low, high, seed).to(t.dtype()));
  }
  nn::Builder build_;
  Ensemble ensemble_;
};

/// The batch of six rows of nn::test.
inline ModelInput six_rows() { return {nn::test::some_ids(), nn::test::some_values().to(DType::f32), {}, {}}; }

/// An ensemble of these networks in small.
inline EnsembleConfig ensemble_of(const std::vector<std::string>& networks, EnsembleKind kind = EnsembleKind::mean) {
  EnsembleConfig config;
  config.kind = kind;
  config.embedding_dim = 4;
  for (const std::string& network : networks) config.students.push_back(nn::test::small_config(network));
  return config;
}

}  // namespace kdef::test
