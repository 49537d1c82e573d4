// A small ensemble and batch in memory, for tests of the units that take one.
#pragma once

#include "kdef/method/ensemble.h"

namespace kdef::test {

/// Two MLPs over the fields `user` (5 ids) and `price` (a number).
struct SmallModel {
  static EnsembleConfig config() {
    EnsembleConfig c;
    c.embedding_dim = 4;
    c.students.resize(2);
    for (nn::NetworkConfig& student : c.students) {
      student.network = "mlp";
      student.hidden_units = {8};
      student.hidden_activations = {"relu"};
      student.dropout = {0.5};
    }
    return c;
  }
  static std::vector<nn::EmbeddingField> fields(int64_t users = 5) {
    return {{"user", nn::EmbeddingField::Kind::id, users}, {"price", nn::EmbeddingField::Kind::numeric}};
  }
  static data::Batch batch() {
    data::Batch b;
    b.rows = 6;
    b.ids = {0, 1, 2, 3, 4, 1};
    b.numerics = {0.5f, -1, 2, 0, 1, -0.25f};
    b.labels = {0, 1, 0, 0, 1, 1};
    return b;
  }

  explicit SmallModel(uint64_t seed = 3, const EnsembleConfig& c = config(), int64_t users = 5)
      : build(seed, DType::f32, kCpu), model(c, fields(users), build) {}

  nn::Builder build;
  Ensemble model;
};

}  // namespace kdef::test
